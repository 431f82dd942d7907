"""What the engine began for us, as its events tell it."""

from __future__ import annotations

from ci_budget.core.measurement.events import Vertex
from ci_budget.core.measurement.own_records import StepTrace
from ci_budget.edges.sites.step_traces import StepTraces


def test_a_step_is_known_by_its_digest_and_its_first_time() -> None:
    traces = StepTraces()
    step = Vertex(digest="sha256:1", name="[2/2] RUN make")
    traces.hear(step)
    assert traces.all() == []  # not begun
    step.started = 10.0
    traces.hear(step)
    begun = StepTrace(name="[2/2] RUN make", started=10.0)
    assert traces.all() == [begun]
    step.completed = 12.0
    traces.hear(step)
    traces.hear(Vertex(digest="sha256:1", name="[2/2] RUN make", started=20.0, completed=20.0))  # from the cache
    traces.hear(Vertex(digest="sha256:2", name="exporting to image", started=21.0))
    assert begun.completed > 12.0  # what was read stays as it was
    assert traces.all() == [StepTrace(name="[2/2] RUN make", started=10.0, completed=12.0)]


def test_a_transfer_is_known_by_its_kind_and_its_first_time() -> None:
    """A stage without a name is built from a copy of the Dockerfile, whose transfer is another one."""
    traces = StepTraces()
    for at, dockerfile in ((10.0, "Dockerfile"), (20.0, "copy")):
        names = (f"load build definition from {dockerfile}", "load build context", "load metadata for debian")
        for number, name in enumerate(names):
            traces.hear(Vertex(digest=f"sha256:{number}{at}", name=f"[internal] {name}", started=at))
    assert traces.all() == [
        StepTrace(name="[internal] load build definition", started=10.0, completed=11.0),
        StepTrace(name="[internal] load build context", started=10.0, completed=11.0),
    ]


def test_to_ask_for_the_stages_loads_the_dockerfile() -> None:
    traces = StepTraces()
    with traces.asking():
        assert traces.all() == []
    (asked,) = traces.all()
    assert asked.started <= asked.completed
    traces.hear(Vertex(digest="sha256:1", name=f"{asked.name} from Dockerfile", started=asked.started + 1))
    assert traces.all() == [asked]
