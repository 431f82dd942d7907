"""The transport: rate limits waited for, trouble retried, redirects and sizes bounded, refusals in plain words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ci_budget.edges.web.github_api import GitHubApi, MaybeDoneError, RefusedError
from ci_budget.errors import CiBudgetError, ConfigError, UnmeasuredError
from tests.github_api.conftest import Addresses, Clock
from tests.github_api.server import TOKEN, Fault, StandIn

COMMENTS = "issues/7/comments"


def listed(api: GitHubApi) -> int:
    return len(list(api.pages(COMMENTS, right="x")))


@pytest.mark.parametrize(
    ("fault", "slept"),
    [
        (Fault(method="GET", path="comments", status=500), [1]),
        (Fault(method="GET", path="comments", status=502, times=3), [1, 2, 4]),
        (Fault(method="GET", path="comments", status=503, headers={"Retry-After": "17"}), [17]),
        (Fault(method="GET", path="comments", status=0, times=2), [1, 2]),
        (Fault(method="GET", path="comments", status=429, headers={"Retry-After": "5"}, times=2), [5, 5]),
        (Fault(method="GET", path="comments", status=429), [60]),
        (Fault(method="GET", path="comments", status=403, message="You have exceeded a secondary rate limit."), [60]),
        (Fault(method="GET", path="comments", status=403, headers={"Retry-After": "9"}), [9]),
        (
            Fault(
                method="GET",
                path="comments",
                status=403,
                headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000030"},
            ),
            [31],
        ),
    ],
    ids=[
        "500",
        "502 thrice",
        "503 with a time",
        "broken",
        "429",
        "429 bare",
        "secondary",
        "403 with a time",
        "used up",
    ],
)
def test_trouble_that_passes(bare: GitHubApi, github: StandIn, clock: Clock, fault: Fault, slept: list[float]) -> None:
    github.add_comment(7, "somebody", "x")
    github.faults = [fault]
    assert listed(bare) == 1
    assert clock.slept == slept


@pytest.mark.parametrize(
    ("fault", "slept", "said"),
    [
        (
            Fault(method="GET", path="comments", status=500, times=99),
            [1, 2, 4, 8],
            "GitHub answered 500 to GET /repos/acme/widgets/issues/7/comments and still does so after 5 tries in 15 s",
        ),
        (
            Fault(method="GET", path="comments", status=429, headers={"Retry-After": "3600"}, times=99),
            [],
            "GitHub answered 429 to GET /repos/acme/widgets/issues/7/comments, wants 3600 s of patience, "
            "and still does so after 1 tries in 0 s",
        ),
        (
            Fault(method="GET", path="comments", status=429, headers={"Retry-After": "200"}, times=99),
            [200],
            "GitHub answered 429 to GET /repos/acme/widgets/issues/7/comments, wants 200 s of patience, "
            "and still does so after 2 tries in 200 s",
        ),
    ],
    ids=["500", "an hour", "twice"],
)
def test_trouble_that_stays(
    bare: GitHubApi, github: StandIn, clock: Clock, fault: Fault, slept: list[float], said: str
) -> None:
    github.faults = [fault]
    with pytest.raises(UnmeasuredError) as error:
        listed(bare)
    assert (error.value.what, clock.slept) == (said, slept)


def test_what_creates_is_not_repeated_when_in_doubt_but_after_a_rate_limit(
    bare: GitHubApi, github: StandIn, clock: Clock
) -> None:
    github.faults = [Fault(method="POST", path="comments", status=503, headers={"Retry-After": "1"})]
    with pytest.raises(MaybeDoneError):
        bare.post(COMMENTS, {"body": "x"}, right="x")
    github.faults = [Fault(method="POST", path="comments", status=429, headers={"Retry-After": "2"})]
    bare.post(COMMENTS, {"body": "x"}, right="x")
    assert (github.bodies(7), clock.slept) == (["x"], [2])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("issues/8", "acme/widgets has no such thing (GET /repos/acme/widgets/issues/8: Not Found)"),
        ("/repos/other/one/pulls", "acme/widgets has no such thing (GET /repos/other/one/pulls: Not Found)"),
    ],
)
def test_what_is_not_there(bare: GitHubApi, github: StandIn, path: str, said: str) -> None:
    with pytest.raises(RefusedError) as error:
        bare.get(path, right="issues: read")
    assert error.value.what == said


def test_a_token_that_is_not_valid(addresses: tuple[StandIn, Addresses], github: StandIn) -> None:
    api = GitHubApi(url=addresses[1].checked, repository="acme/widgets", token="old")
    with api, pytest.raises(RefusedError) as error:
        api.get("/user", right="x")
    assert str(error.value) == (
        "GitHub does not accept the token (GET /user: Bad credentials)\n"
        "  It has expired, was revoked, or belongs to another server. Give a valid one."
    )


def test_an_enterprise_server_has_its_api_below_a_path(addresses: tuple[StandIn, Addresses], github: StandIn) -> None:
    github.base = addresses[1].enterprise
    for index in range(101):
        github.add_comment(7, "somebody", str(index))
    with GitHubApi(url=f"{addresses[1].enterprise}/", repository="acme/widgets", token=TOKEN) as api:
        assert listed(api) == 101


def test_the_token_stays_with_the_api(bare: GitHubApi, api: GitHubApi, github: StandIn) -> None:
    """The other server answers 400 where it sees a token."""
    github.storage_refuses_tokens = True
    github.archives[5] = b"PK"
    assert bare.download("actions/artifacts/5/zip", right="x", most=10) == b"PK"
    github.faults = [Fault(method="GET", path="comments", status=301, headers={"Location": f"{github.storage}/x"})]
    with pytest.raises(UnmeasuredError, match=r"is sent on to another address \(301\)"):
        bare.get(COMMENTS, right="x")
    github.base = github.storage
    for index in range(101):
        github.add_comment(7, "somebody", str(index))
    with pytest.raises(UnmeasuredError, match="next page is at another address"):
        listed(api)


def test_answers_are_bounded_and_never_trusted(bare: GitHubApi, github: StandIn) -> None:
    github.archives[5] = b"x" * 1001
    with pytest.raises(UnmeasuredError, match="is larger than 1,000 bytes"):
        bare.download("actions/artifacts/5/zip", right="x", most=1000)
    github.faults = [Fault(method="GET", path="comments", status=200)]
    with pytest.raises(UnmeasuredError, match="is no list"):
        listed(bare)
    github.faults = [Fault(method="GET", path="pulls", status=418, message="a \x1b[31mteapot\n::error::x" * 50)]
    with pytest.raises(RefusedError) as error:
        bare.get("pulls", right="x")
    assert len(error.value.what) < 400
    assert error.value.what.isprintable()


@pytest.fixture
def no_pages_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("ci_budget.edges.web.github_api.MOST_PAGES", 2)
    yield


def test_a_list_without_an_end(bare: GitHubApi, github: StandIn, no_pages_left: None) -> None:
    for index in range(201):
        github.add_comment(7, "somebody", str(index))
    with pytest.raises(UnmeasuredError, match="has more than 2 pages"):
        listed(bare)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "ftp://api.github.com"}, "is no address of GitHub's API"),
        ({"url": "https://user@api.github.com"}, "is no address of GitHub's API"),
        ({"repository": "acme"}, "'acme' is no repository; write OWNER/NAME"),
        ({"repository": "acme/.."}, "is no repository"),
        ({"repository": "acme/wid?gets"}, "is no repository"),
        ({"token": ""}, "the token is empty"),
        ({"token": "a\r\nX: b"}, "the token is empty or holds characters that no token has"),
    ],
)
def test_what_is_no_address_no_repository_no_token(changes: dict[str, str], said: str) -> None:
    given = {"url": "https://api.github.com", "repository": "acme/widgets", "token": "t", **changes}
    with pytest.raises(ConfigError, match=said):
        GitHubApi(**given)  # type: ignore[arg-type]


def test_nobody_is_there(clock: Clock) -> None:
    api = GitHubApi(url="http://127.0.0.1:9", repository="acme/widgets", token="t", sleep=clock.sleep, now=clock.now)
    with api, pytest.raises(CiBudgetError) as error:
        api.get("/user", right="x")
    assert error.value.what.startswith("GET http://127.0.0.1:9/user got no answer: ")
    assert "Connection refused" in error.value.what
