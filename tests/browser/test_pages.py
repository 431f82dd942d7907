"""The HTML pages in a real browser: they draw, load nothing, say nothing to the console, and obey a keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.core.history.build_view import BuildView, view_build
from ci_budget.core.history.trend import DAY, Release
from ci_budget.core.render.html.nightly import render_nightly
from ci_budget.core.render.html.single import render_single
from tests.browser.chromium import Chromium
from tests.unit.golden_reports import HOSTILE, hostile_report, mixed_report
from tests.unit.history_samples import DAY_ONE, GB, built, inventory, night, overview, trend

EVIL = '</script><img src=x onerror="document.title=1"><script>document.title=1</script>'
MB = 10**6


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images: one that grows into its budget, one with a name that wants to be markup, one that is calm."""
    release = {"linux/amd64": Release(tag="v1", released=DAY_ONE * DAY, metrics={"image_size": 800 * MB})}
    growing = trend([800 * MB + 20 * MB * day for day in range(20)], budget=1200 * MB, releases=release)
    evil = trend([100 * MB] * 9 + [90 * MB], name=EVIL)
    page = render_nightly(overview(growing, evil, trend([5 * MB] * 10, name="calm")), {"web": view(), EVIL: view(EVIL)})
    file = tmp_path_factory.mktemp("nightly") / "page.html"
    file.write_text(page)
    return file


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def written(page: str) -> Path:
        file = tmp_path_factory.mktemp("page") / "report.html"
        file.write_text(page)
        return file

    return written


def view(name: str = "web") -> BuildView:
    steps = [step.model_copy(update={"stage": name, "name": f"RUN {name}"}) for step in built().steps]
    return view_build(built(name, steps=steps), commit="0" * 40, started="2026-03-20", inventory=inventory(name))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_nightly_page_draws_without_a_word(browser: Chromium, nightly: Path, width: int, dark: bool) -> None:
    browser.open(nightly, width=width, dark=dark)
    assert browser.complaints == []
    assert browser.evaluate("document.querySelectorAll('#lines svg').length") == 3
    assert browser.evaluate("document.querySelectorAll('#build figure svg[viewBox]').length") > 1
    assert browser.evaluate("document.querySelectorAll('.spark svg').length") == 3
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colour = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(17, 21, 27)" if dark else "rgb(246, 247, 249)")
    assert contrast(browser, "body") >= 7
    assert contrast(browser, ".sub") >= 4.5


def test_untrusted_names_stay_text(browser: Chromium, nightly: Path, write: Callable[[str], Path]) -> None:
    browser.open(nightly)
    browser.evaluate("document.querySelectorAll('#images [data-show]').forEach((button) => button.click())")
    names = "[...document.querySelectorAll('#images th[scope=row]')].map((cell) => cell.innerText)"
    assert browser.evaluate(names) == ["web", EVIL, "calm"]
    hostile = hostile_report()
    named = {image.name: view(HOSTILE + EVIL) for image in hostile.images}
    for page in (nightly, write(render_single(hostile, named, report_folder=EVIL))):
        browser.open(page)
        assert browser.complaints == []
        assert browser.evaluate("document.title") != "1"
        assert browser.evaluate("document.querySelectorAll('img, script:not([id]):not(:last-child)').length") == 0
    assert "onerror" in browser.evaluate("document.body.innerText")


def test_the_policy_holds_when_markup_gets_through(browser: Chromium, nightly: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(nightly.read_text().replace("<h1>", f"{EVIL}<h1 onclick='document.title=2'>", 1))
    browser.open(broken)
    assert any("Content Security Policy" in said for said in browser.complaints)
    assert browser.evaluate("document.title") == "Build budgets of acme/shop"


def test_a_curve_is_hovered_and_walked_by_keys(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    browser.hover("#lines figure:first-child svg", share=0.99)
    assert tip(browser) == "2026-03-20\nimage_size: 1.18 GB"
    browser.evaluate("document.querySelector('#lines svg').focus()")
    browser.press("Home")
    assert tip(browser) == "2026-03-01\nimage_size: 800 MB"
    browser.press("ArrowRight", "ArrowRight")
    assert tip(browser) == "2026-03-03\nimage_size: 840 MB"
    browser.press("Escape")
    assert tip(browser) is None


def test_the_timeline_tells_the_step_that_ran(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    browser.hover(".timeline svg", share=0.5)
    said = tip(browser)
    assert said is not None
    assert "in use\nRUN web (line 2): +1.00 GB" in said
    browser.evaluate("document.querySelector('.timeline svg').focus()")
    browser.press("Home")
    assert tip(browser) == "0.0 s: 0 B in use\nRUN web (line 2): +1.00 GB"


def test_the_treemap_opens_and_goes_back_by_keys(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    names = "[...document.querySelectorAll('.treemap g')].map((box) => box.ariaLabel)"
    assert browser.evaluate(names) == [
        "web:5 COPY --from=builder /out /: 700 MB, 70.0 % of the image",
        "base image, 1 layer: 300 MB, 30.0 % of the image",
    ]
    browser.evaluate("document.querySelector('.treemap g').focus()")
    browser.press("Enter")
    assert browser.evaluate(names) == [
        "usr/lib/: 600 MB, 60.0 % of the image",
        "small files: 100 MB, 10.0 % of the image",
    ]
    browser.press("Escape")
    assert len(browser.evaluate(names)) == 2


def test_tables_sort_by_the_keyboard_and_say_how(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    first = "document.querySelector('#images tbody th').innerText"
    size = (
        "[...document.querySelectorAll('#images thead button')].find((one) => one.innerText.startsWith('image size'))"
    )
    browser.evaluate(f"{size}.focus()")
    browser.press("Enter")
    assert (browser.evaluate(first), browser.evaluate(f"{size}.parentElement.ariaSort")) == ("web", "descending")
    browser.press("Enter")
    assert (browser.evaluate(first), browser.evaluate(f"{size}.parentElement.ariaSort")) == ("calm", "ascending")


def test_every_control_is_reached_by_the_tab_key(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    wanted = browser.evaluate(
        "(window.left = new Set([...document.querySelectorAll('a, button, input, [tabindex=\"0\"]')]"
        ".filter((one) => one.getClientRects().length))).size"
    )
    browser.evaluate("addEventListener('focusin', (event) => window.left.delete(event.target))")
    for _ in range(wanted + 5):
        browser.press("Tab")
    assert wanted > 20
    assert browser.evaluate("[...window.left].map((one) => one.outerHTML.slice(0, 80))") == []


def test_the_filter_and_the_theme(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    browser.evaluate(
        "const box = document.getElementById('filter'); box.value = 'CAL';box.dispatchEvent(new Event('input'))"
    )
    assert browser.evaluate("document.getElementById('shown').innerText") == "1 of 3 images"
    browser.evaluate("document.getElementById('theme').click()")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 27)"


def test_choosing_an_image_shows_it(browser: Chromium, nightly: Path) -> None:
    browser.open(nightly)
    browser.evaluate(
        "[...document.querySelectorAll('#images [data-show]')].find((one) => one.innerText === 'calm').focus()"
    )
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.innerText") == "calm"
    assert "No build of this image is drawn here" in browser.evaluate("document.getElementById('build').innerText")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_of_a_run_draws_without_a_word(browser: Chromium, write: Callable[[str], Path], width: int) -> None:
    report = mixed_report()
    report = report.model_copy(update={"images": [*report.images, built("drawn"), built("bare", timeline=[])]})
    views = {"drawn": view("drawn"), "bare": view_build(built("bare", timeline=[]), commit=None, started="2026-03-01")}
    browser.open(write(render_single(report, views, report_folder="/tmp/report")), width=width, dark=width < 500)
    assert browser.complaints == []
    assert browser.evaluate("document.querySelectorAll('.timeline > svg, .treemap > svg').length") == 2
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_without_an_inventory_the_page_says_so(browser: Chromium, write: Callable[[str], Path]) -> None:
    views = {"web": view_build(built(size=GB), commit=None, started="2026-03-01")}
    browser.open(write(render_single(night(0, built()), views, report_folder="R")))
    assert browser.complaints == []
    said = "No treemap: no inventory of this image's files was kept (inventory.json.zst)."
    assert said in browser.evaluate("document.body.innerText")


def tip(browser: Chromium) -> str | None:
    """What hovers now."""
    said: str | None = browser.evaluate("tip.hidden ? null : tip.innerText")
    return said


def contrast(browser: Chromium, selector: str) -> float:
    """Of the text with the page behind it (WCAG 2.2, contrast ratio)."""
    colours = browser.evaluate(
        f"[document.querySelector('{selector}'), document.body].map((one, index) =>"
        " getComputedStyle(one)[index ? 'backgroundColor' : 'color'].match(/\\d+/g).map(Number))"
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[int]) -> float:
    parts = [part / 255 for part in colour[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
