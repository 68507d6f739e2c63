"""A browser opens the lab, runs lessons, and shows the progress bar, the live table and the cards.

Skipped where there is no chromium or no playwright (`pip install -e '.[browser]'`). LABKIT_PICTURES names a folder
that the screenshots are kept in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SECONDS = 1000  # of a millisecond, as playwright counts


def python(*words: str) -> list[str]:
    return [sys.executable, "-m", *words]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    # Cells that are out of sight are otherwise not in the page, where a test cannot find them.
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')
    return folder


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """Address of a lab with its token, as `labkit lab` prints it."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "LABKIT_HEADLESS"},
        "LABKIT_SETTINGS": str(home / "lab.toml"),
        "AZSANDBOX_HOME": str(home / ".azsandbox"),
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "run"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "PYTHONPATH": str(NOTEBOOKS.parent),
    }
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            python("labkit", "lab", "--no-browser", "--port", "18900"),
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield _printed(home / "log", server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
        subprocess.run(python("azsandbox", "down"), env=environment, check=False, capture_output=True)


def _printed(log: Path, server: subprocess.Popen[bytes]) -> str:
    for _ in range(1200):
        found = re.search(r"http://127\.0\.0\.1:\d+/lab/tree/\S+token=\w+", log.read_text())
        if found:
            return found[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Page:
    """A lesson in the browser, by what a reader sees of it."""

    def __init__(self, browser: Any, address: str, lesson: str, theme: str = "Light") -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address.replace("00-start-here", lesson) + "&reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120 * SECONDS)
        # Whoever runs cells before there is a kernel is asked for one; the status bar says when it is there.
        self.page.wait_for_selector("text=/Python 3.*\\| Idle/", timeout=120 * SECONDS)
        if theme == "Dark":
            self.page.click(".lm-MenuBar-itemLabel >> text=Settings")
            self.page.hover('.lm-Menu >> text="Theme"')
            self.page.click('.lm-Menu >> text="JupyterLab Dark"')
            self.page.wait_for_selector('body[data-jp-theme-light="false"]', state="attached")

    def run_all(self) -> None:
        self.page.click(".lm-MenuBar-itemLabel >> text=Run")
        self.page.click('.lm-Menu >> text="Run All Cells"')

    def ended(self, timeout: int = 40) -> None:
        """Wait until every cell has run: none has a star, and the last has a number."""
        self.page.wait_for_function(
            """() => {
              const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map((p) => p.innerText);
              return prompts.length > 0 && prompts.every((text) => /\\d/.test(text));
            }""",
            timeout=timeout * SECONDS,
        )

    def run_first(self) -> None:
        """Run the first cell of code, as a reader does who begins."""
        self.page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
        self.page.keyboard.press("Shift+Enter")

    def scrolls_sideways(self) -> list[str]:
        """The beginnings of what is wider than its place in the page."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll(".jp-Notebook .jp-Cell, .jp-Notebook .jp-Cell *")]
              .filter((e) => !e.closest(".jp-sr-only") && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 2
                && ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX))
              .map((e) => `${e.className}: ${e.innerText.slice(0, 80)}`)"""
        )
        return found

    def contrast(self, selector: str) -> tuple[float, float]:
        """Contrast of the text of what is found first to what it stands on, and the luminance of that (WCAG 2)."""
        text, ground = self.page.locator(selector).first.evaluate(
            """(found) => {
              const luminance = (color) => {
                const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
                  const c = part / 255;
                  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              let ground = found;
              while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
              return [luminance(getComputedStyle(found).color), luminance(getComputedStyle(ground).backgroundColor)];
            }"""
        )
        return (max(text, ground) + 0.05) / (min(text, ground) + 0.05), ground

    def picture(self, selector: str, name: str) -> None:
        """Scroll to what `selector` finds first, and keep a picture of it where LABKIT_PICTURES says."""
        found = self.page.locator(selector).first
        found.scroll_into_view_if_needed(timeout=20 * SECONDS)
        self.page.wait_for_timeout(300)
        folder = os.environ.get("LABKIT_PICTURES")
        if folder:
            found.screenshot(path=str(Path(folder) / f"{name}.png"))
            self.page.screenshot(path=str(Path(folder) / f"{name}-page.png"))

    def close(self) -> None:
        self.page.close()


def test_lesson_00_runs_and_shows_its_cards(browser: Any, address: str) -> None:
    lesson = Page(browser, address, "00-start-here")
    lesson.run_all()
    lesson.ended()
    assert lesson.page.locator('section[aria-label^="Passed: kubectl"]').count() >= 1
    lesson.picture('section[aria-label^="Passed: The vCPU quota"]', "card-passed")
    lesson.picture('section[aria-label^="Failed: The vCPU quota"]', "card-failed")
    assert lesson.page.locator(".jp-RenderedMermaid").count() == 1
    lesson.picture(".jp-RenderedMermaid", "mermaid")
    assert lesson.scrolls_sideways() == []
    assert lesson.errors == []
    lesson.close()


def test_what_is_folded_opens_on_a_click_and_an_exercise_left_blank_says_what_is_missing(
    browser: Any, address: str
) -> None:
    lesson = Page(browser, address, "00-start-here")
    command = lesson.page.locator(".jp-MarkdownCell details:has-text('az ')").first
    assert not command.locator("pre").is_visible()
    command.locator("summary").click()
    assert command.locator("pre").is_visible()
    lesson.run_all()
    lesson.ended()
    card = lesson.page.locator('section[aria-label^="Failed: The vCPU quota"]').first
    for label in ("A hint", "A second hint", "The solution"):
        grade = card.locator(f'details:has(summary:text-is("{label}"))')
        assert not grade.locator("pre").is_visible()
        grade.locator("summary").click()
        assert len(grade.locator("pre").inner_text()) > 10
    lesson.picture('section[aria-label^="Failed: The vCPU quota"]', "card-hints")
    assert lesson.page.locator('.jp-OutputArea-output:has-text("Fill in")').count() == 1
    lesson.close()


VIEWS = r"""
from labkit.checks.core import Result, Status
from labkit.views.cards import Results
from labkit.views.table import Table

group = "/subscriptions/0000/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks"
pattern = r"pattern ^acr\.azurecr\.io/.+$|^mcr\.microsoft\.com/.+$"
facts = dict(severity="high", era="modern", expected="one", object_id=group, reason="", why="It matters.", next_command="az x")
Results([Result(id="a.b", title=str(status), status=status, observed=pattern, **facts) for status in Status]).show()
wide = {f"column {n}": "CriticalAddonsOnly=true:NoSchedule" for n in range(4)} | {"why": pattern * 3}
Table.of([wide, wide], title="Wide").show()
Table.of([{"pod": f"web-{n}"} for n in range(60)], title="Long").show()
"""


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_views_fit_the_page_and_show_texts_as_they_are(browser: Any, address: str, home: Path, theme: str) -> None:
    cells = [
        {"cell_type": "code", "id": "views", "metadata": {}, "source": VIEWS, "outputs": [], "execution_count": None},
        {
            "cell_type": "code",
            "id": "end",
            "metadata": {},
            "source": f"print('{'x ' * 90}')",
            "outputs": [],
            "execution_count": None,
        },
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (home / "notebooks" / "views.ipynb").write_text(json.dumps(notebook))
    page = Page(browser, address, "views", theme)
    page.run_all()
    page.ended()
    page.picture('table:has-text("Wide")', f"wide-table-{theme}")
    assert page.page.locator("section").count() == 5
    assert page.page.locator("mjx-container").count() == 0
    assert page.page.locator('section:has-text("|^mcr")').count() == 5
    assert page.scrolls_sideways() == []
    box = page.page.locator('[role="region"][aria-label="Long: 60 rows"]')
    assert box.bounding_box()["height"] < 750
    box.focus()
    page.page.keyboard.press("End")
    page.page.wait_for_function("(box) => box.scrollTop > 300", arg=box.element_handle())
    for selector in ("section", 'td:has-text("web-0")', 'th:has-text("pod")', "section summary"):
        contrast, ground = page.contrast(selector)
        assert contrast >= 4.5, selector
        assert (ground < 0.2) is (theme == "Dark")
    page.close()


def test_lesson_12_makes_what_it_needs_on_a_click_and_shows_the_progress_and_the_live_nodes(
    browser: Any, address: str
) -> None:
    lesson = Page(browser, address, "12-cluster")
    lesson.run_first()
    lesson.page.click('button:has-text("Make it so")', timeout=120 * SECONDS)
    lesson.page.wait_for_selector("text=The lab stands as after lesson 11.", timeout=120 * SECONDS)
    lesson.picture('.jp-OutputArea:has(button:has-text("Make it so"))', "made")
    lesson.run_all()
    lesson.picture(".jp-OutputArea:has(.widget-hprogress)", "progress")
    lesson.ended(180)
    lesson.picture('[role="status"]:has-text("Done")', "progress-done")
    live = '[role="status"]:has(table):has-text("Ready")'
    assert "pool" in lesson.page.locator(live).first.inner_text()
    lesson.picture(live, "live-nodes")
    lesson.picture('section[aria-label^="Passed: Cluster and node pools"]', "card")
    lesson.picture('svg[role="img"]', "diagram")
    assert lesson.page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]:has-text("Traceback")').count() <= 1
    assert lesson.scrolls_sideways() == []
    assert lesson.errors == []
    lesson.close()


def test_cards_are_legible_in_the_dark_theme(browser: Any, address: str) -> None:
    lesson = Page(browser, address, "00-start-here", theme="Dark")
    lesson.run_all()
    lesson.ended()
    contrast, ground = lesson.contrast('section[aria-label^="Passed: kubectl"]')
    assert ground < 0.2
    assert contrast >= 4.5
    lesson.picture('section[aria-label^="Failed: The vCPU quota"]', "card-dark")
    lesson.close()
