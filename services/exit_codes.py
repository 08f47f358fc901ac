"""The exit codes of a process that runs one job: what it tells whoever started it.

0   the job has ended, or was let go in order: paused, cancelled, SIGTERM, someone else has it
1   the job failed, and its error is in the database; or the database does not know the job
2   wrong usage
3   the lease was lost while the job ran
4   the database, the artifact store or the cluster is away, the disk is full, or the schema is another
    version's; the job goes on later, if it was claimed once its lease has run out
5   the device of this process answers no more; the job goes on in another once its lease has run out
"""

from services.execution import Ending

EXIT_CODES: dict[Ending | None, int] = {
    None: 0,
    Ending.SUCCEEDED: 0,
    Ending.LET_GO: 0,
    Ending.FAILED: 1,
    Ending.LEASE_LOST: 3,
    Ending.ABANDONED: 4,
    Ending.UNUSABLE: 5,
}
