"""Calls that tell what the controller offers and how it is."""

from services.client.connection import Connection
from services.schemas import CatalogueEntry, ClusterView, Health, Page


class SystemCalls(Connection):
    """The catalogue, the cluster, and the controller's health."""

    def search_spaces(self) -> list[CatalogueEntry]:
        """Search spaces, each with the JSON Schema of its options."""
        return self._catalogue("search-spaces")

    def algorithms(self) -> list[CatalogueEntry]:
        """Search algorithms, each with the JSON Schema of its options."""
        return self._catalogue("algorithms")

    def estimators(self) -> list[CatalogueEntry]:
        """Performance estimators, each with the JSON Schema of its options."""
        return self._catalogue("estimators")

    def datasets(self) -> list[CatalogueEntry]:
        """Data set formats, each with the JSON Schema of its options."""
        return self._catalogue("datasets")

    def cluster(self) -> ClusterView:
        """Machines, processors, GPUs, and the searches that run on them."""
        return self._get("/v1/cluster", ClusterView)

    def health(self) -> Health:
        """Answers when the controller's process does."""
        return self._get("/healthz", Health)

    def _catalogue(self, kind: str) -> list[CatalogueEntry]:
        return self._get(f"/v1/{kind}", Page[CatalogueEntry]).items
