"""Whose files these are: what one database does not know may be another's, and is then not its to remove."""

from fsspec import AbstractFileSystem

from services.errors import ConflictError

OWNER_FILE = "database-id"


def require_ownership(files: AbstractFileSystem, root: str, database_id: str, *, claim: bool = True) -> None:
    """Make sure that the files below `root` are this database's, or nobody's.

    What is nobody's belongs from then on to the first that claims it. Raises ConflictError when they are
    another's.
    """
    path = f"{root}/{OWNER_FILE}"
    try:
        owner = files.cat_file(path).decode().strip()
    except FileNotFoundError:
        if claim:
            files.makedirs(root, exist_ok=True)
            files.pipe_file(path, database_id.encode())
        return
    if owner != database_id:
        raise ConflictError(
            f"the files below {root} are those of another database, {owner}, not of this one, {database_id}: "
            f"nothing of them is tidied up; give each database a folder of its own, or remove {path} if the "
            "other is gone for good"
        )
