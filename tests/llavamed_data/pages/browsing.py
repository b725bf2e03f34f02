"""What tests of pages look at in a real browser: faults by axe-core, errors in the console, and pictures."""

from typing import Any

import pytest

SIZES = {"phone": (390, 844), "desk": (1280, 900)}

LOOKS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
"""Each page is tested on a phone and on a desk, light and dark."""


def serious_faults(page: Any) -> list[str]:
    """The rules that axe-core finds broken seriously, each with the first elements that break it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {[(node['html'][:150], node['failureSummary'][:200]) for node in rule['nodes'][:3]]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


def expect(element: Any) -> Any:
    """Playwright's assertions about an element; each is tried for 30 seconds until it holds."""
    from playwright.sync_api import expect as expect_of_playwright

    expect_of_playwright.set_options(timeout=30_000)
    return expect_of_playwright(element)


def console_errors(page: Any) -> list[str]:
    """A list to which the errors of a page's console are added as they come."""
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def scrolls_sideways(page: Any) -> bool:
    wide = "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"
    return bool(page.evaluate(wide))
