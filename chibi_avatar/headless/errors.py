"""What can go wrong, as exceptions that say what, where and how to fix it, in English and Chinese.

``str(error)`` speaks the user's language (see :mod:`.language`); ``error.text("en")`` a chosen one. ``exit_code`` is
the command line's: 2 bad input, 3 a job failed, 4 a model or dependency is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .language import current
from .messages import problem_text, say


class HeadlessError(Exception):
    """Base of every error here. ``key`` names the message, ``values`` fill it."""

    key = "error"
    exit_code = 3

    def __init__(self, **values: Any):
        self.values = values
        super().__init__(values)

    def text(self, language: str | None = None) -> str:
        """The message in ``language`` (``"en"``, ``"zh"``), by default the user's."""
        return say(self.key, language or current(), **self.values)

    def __str__(self) -> str:
        return self.text()

    def __reduce__(self):
        return (_rebuild, (type(self), self.values))


def _rebuild(kind: type[HeadlessError], values: dict[str, Any]) -> HeadlessError:
    return kind(**values)


class ServerUnreachable(HeadlessError):
    """No answer from the server for as long as the client was told to wait."""

    key = "server_unreachable"


class BadReply(HeadlessError):
    """The server answered with something that ComfyUI would not say (an error page, half a JSON document, too many
    bytes).
    """

    key = "bad_reply"


class InputError(HeadlessError):
    """A file, value or name given by the user does not exist or does not fit."""

    key = "input"
    exit_code = 2


class WorkflowError(HeadlessError):
    """A workflow file is not one, or cannot be turned into API format."""

    key = "workflow"
    exit_code = 2


class JobLost(HeadlessError):
    """The server no longer knows the job: it restarted, or its history was cleared."""

    key = "job_lost"


class JobCancelled(HeadlessError):
    """Somebody cancelled the job."""

    key = "job_cancelled"


class JobTimeout(HeadlessError):
    """The job did not finish in the time given. It may still be running."""

    key = "job_timeout"


class JobStopped(JobTimeout):
    """The job did not finish in the time given and was cancelled."""

    key = "job_stopped"


class JobStuck(JobTimeout):
    """The job did not finish in the time given, and the server does not let go of it."""

    key = "job_stuck"


class ServerCrashed(HeadlessError):
    """The server fell silent again and again under one row."""

    key = "server_crashed"


class OutputRefused(HeadlessError):
    """A file that the server offered is broken, too large, or not what it claims to be. Nothing was left in place."""

    key = "output_refused"


class JobFailed(HeadlessError):
    """A node raised while the workflow ran."""

    key = "job_failed"

    @property
    def node_id(self) -> str:
        """Id of the node that raised."""
        return str(self.values.get("node_id", ""))


@dataclass(frozen=True)
class NodeProblem:
    """Why the server (or the check before it) will not run a node.

    ``type`` is ComfyUI's own name of the error, ``input`` the input it is about, ``received`` what it got, ``nearest``
    the valid values closest to that, ``available`` how many valid ones there are, ``hint`` one line on what to do.
    """

    node_id: str
    title: str
    class_type: str
    type: str
    input: str = ""
    received: Any = None
    nearest: tuple[str, ...] = ()
    available: int | None = None
    details: str = ""
    limit: Any = None
    hint_en: str = ""
    hint_zh: str = ""

    def text(self, language: str | None = None) -> str:
        """One or two lines: node, input, what is wrong, what would be right."""
        return problem_text(self, language or current())


class PromptRejected(HeadlessError):
    """The workflow does not fit the server: unknown nodes, missing models, values out of range. ``problems`` lists them
    all.
    """

    key = "prompt_rejected"

    def __init__(self, problems: Sequence[NodeProblem], url: str = "", partial: bool = False):
        super().__init__(problems=tuple(problems), url=url, partial=partial)

    @property
    def problems(self) -> tuple[NodeProblem, ...]:
        """Every problem, in the workflow's order."""
        return self.values["problems"]

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """4 when a node or a model is missing, else 2."""
        return 4 if any(p.type in ("missing_node_type", "missing_model") for p in self.problems) else 2

    def text(self, language: str | None = None) -> str:
        """A heading and one entry per problem."""
        language = language or current()
        heading = say(
            "prompt_rejected_partial" if self.values["partial"] else "prompt_rejected", language, **self.values
        )
        return "\n".join([heading, *(f"- {problem.text(language)}" for problem in self.problems)])
