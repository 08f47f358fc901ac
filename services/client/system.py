"""Calls that tell what the controller offers and how it is."""

from services.client.calls import call
from services.client.connection import Connection
from services.schemas import CatalogueEntry, ClusterView, Health


class SystemCalls(Connection):
    """The catalogue, the cluster, and the controller's health."""

    @call
    async def search_spaces(self) -> list[CatalogueEntry]:
        """Search spaces, each with the JSON Schema of its options."""
        return await self._catalogue("search-spaces")

    @call
    async def algorithms(self) -> list[CatalogueEntry]:
        """Search algorithms, each with the JSON Schema of its options."""
        return await self._catalogue("algorithms")

    @call
    async def estimators(self) -> list[CatalogueEntry]:
        """Performance estimators, each with the JSON Schema of its options."""
        return await self._catalogue("estimators")

    @call
    async def datasets(self) -> list[CatalogueEntry]:
        """Data set formats, each with the JSON Schema of its options."""
        return await self._catalogue("datasets")

    @call
    async def cluster(self) -> ClusterView:
        """Machines, processors, GPUs, and the searches that run on them."""
        return await self._get("/v1/cluster", ClusterView)

    @call
    async def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._network.close()

    @call
    async def health(self) -> Health:
        """Answers when the controller's process does."""
        return await self._get("/healthz", Health)

    async def _catalogue(self, kind: str) -> list[CatalogueEntry]:
        return [entry async for entry in self._pages(f"/v1/{kind}", CatalogueEntry)]
