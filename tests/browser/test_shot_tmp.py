import pytest
import sys, pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_prompt import panel, WORDS


def test_shot(panel, request):
    name = request.node.name.split("[")[1].strip("]")
    page = panel.page
    page.set_viewport_size({"width": 1100, "height": 1250})
    page.wait_for_timeout(800)
    page.screenshot(path=f"/tmp/w/psets/shot_{name}_1.png")
    page.locator('.chibi-prompt [data-key="hair.color"]').click()
    page.locator('.chibi-prompt [data-key="hair.style"]').select_option("bald")
    page.wait_for_timeout(800)
    page.screenshot(path=f"/tmp/w/psets/shot_{name}_2.png")
