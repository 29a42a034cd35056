"""What people come for: a run that goes on before their eyes, a failure understood, a step done again."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from flowbuild.testing.browser import load
from flowbuild.testing.website import RunAddress, in_container

from .shop import ERROR


def heading(page: Page):
    return page.get_by_role("heading", level=1)


def log(page: Page):
    return page.get_by_role("log")


def test_the_log_of_a_running_step_is_live(visit, site):
    run = site.begin("shop", "talk")
    page = visit(f"{run.page}?step=speak&tab=logs")
    expect(log(page)).to_contain_text("first words", timeout=120_000)
    expect(log(page)).not_to_contain_text("second words")
    in_container(run, "speak", "touch", "/tmp/go")
    expect(log(page)).to_contain_text("second words", timeout=60_000)
    (speak,) = [step for step in site.view(run)["steps"] if step["key"] == "speak"]
    assert speak["state"] == "running"
    in_container(run, "speak", "touch", "/tmp/end")
    expect(heading(page)).to_contain_text("succeeded", timeout=120_000)
    assert page.title() == f"talk #{run.number} succeeded · flow"


def test_two_keys_lead_from_a_failed_run_to_its_first_error(visit, broken):
    page = visit(f"{broken.page}?tab=overview")
    expect(heading(page)).to_contain_text("failed")
    page.keyboard.press("f")
    expect(log(page)).to_contain_text("cleaning up 200")  # the end, where the error is not
    page.keyboard.press("e")
    found = log(page).locator("[data-current]")
    expect(found).to_contain_text(ERROR)
    expect(found).to_be_in_viewport()


def test_a_link_to_a_line_leads_to_it(visit, broken):
    page = visit(f"{broken.page}?step=check&tab=logs&line=100&to=101")
    marked = log(page).locator("[data-marked]")
    expect(marked).to_have_count(2)
    expect(marked.first).to_contain_text("apple 100 is fine")
    expect(marked.first).to_be_in_viewport()


def test_lines_that_are_lost_are_said_to_be(visit, site, broken):
    """As after a disk that lost its end: the index knows of lines that are not there. What is there is shown."""
    run, gone = site.run("shop", "broken"), "this line is missing"
    data = site.top / "home" / "logs" / run.id / "check" / "1.1" / "data"
    data.write_bytes(data.read_bytes().partition(b"apple 10 ")[0])
    page = visit(f"{run.page}?step=check&tab=logs&line=1")
    for row, text in {0: "apple 1 is fine", 8: "apple 9 is fine", 9: gone, 20: gone}.items():
        expect(log(page).locator(f"[data-row='{row}']")).to_contain_text(text)
    page.keyboard.press("End")
    expect(log(page).locator("[data-row='500']")).to_contain_text(gone)
    whole = visit(f"{broken.page}?step=check&tab=logs&line=1")
    expect(log(whole).locator("[data-row='9']")).to_contain_text("apple 10 is fine")
    expect(log(whole)).not_to_contain_text(gone)


def test_a_step_is_done_again_with_another_variable(visit, site):
    run = site.run("shop", "paint")
    page = visit(f"{run.page}?step=paint&tab=logs")
    expect(log(page)).to_contain_text("painting it red")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value of COLOUR").fill("blue")
    dialog.get_by_role("button", name="Run again with 1 changed").click()
    expect(heading(page)).not_to_contain_text(f"#{run.number}")
    expect(heading(page)).to_contain_text("succeeded", timeout=120_000)
    load(page, page.url.partition("?")[0] + "?step=paint&tab=logs")
    expect(log(page)).to_contain_text("painting it blue")
    number = int(page.url.partition("?")[0].rpartition("/")[2])
    again = site.ask("GET", f"projects/shop/runs/{number}")
    assert {step["key"]: step["reused"] for step in again["steps"]} == {"mix": True, "paint": False}


def test_a_step_is_approved_with_a_comment(visit, site):
    run = site.begin("shop", "ship")
    page = visit(run.page, who="max")
    bar = page.get_by_role("region", name="Approval of deploy")
    bar.get_by_label("Comment").fill("Looks good to me", timeout=120_000)
    bar.get_by_role("button", name="Approve").click()
    expect(bar).to_have_count(0)
    expect(heading(page)).to_contain_text("succeeded", timeout=120_000)
    said = site.ask("GET", "audit?project=shop&action=run.approve")["items"]
    assert any(entry["actor"] == "max" and "Looks good to me" in str(entry) for entry in said)


def test_a_step_is_rejected(visit, site):
    run = site.begin("shop", "ship")
    page = visit(run.page, who="max")
    bar = page.get_by_role("region", name="Approval of deploy")
    bar.get_by_role("button", name="Reject").click(timeout=120_000)
    expect(heading(page)).to_contain_text("failed", timeout=120_000)


def test_who_waits_for_an_environment_sees_who_holds_it(visit, site):
    first = site.begin("shop", "stage")
    site.wait(first, "act", "running")
    second, third = site.begin("shop", "stage"), site.begin("shop", "stage")
    pages = [visit(f"{run.page}?step=act&tab=details", who="vera") for run in (first, second, third)]
    held = "step 'act' of run {0} of shop acts on environment 'staging'"
    environments = visit("/projects/shop?tab=environments", who="vera")
    staging = environments.get_by_role("list", name="Environments").get_by_role("listitem").filter(has_text="staging")
    line = [staging.get_by_role("link", name=f"stage #{run.number} / act") for run in (first, second, third)]
    for link in line:
        expect(link).to_be_visible(timeout=120_000)
    expect(staging).to_contain_text("in use")
    expect(staging).to_contain_text("nothing deployed yet")
    for page in pages[1:]:
        expect(page.get_by_text(held.format(first.number)).first).to_be_visible(timeout=120_000)
    expect(pages[0].get_by_role("main")).not_to_contain_text("acts on environment")
    in_container(first, "act", "touch", "/tmp/end")
    expect(heading(pages[0])).to_contain_text("succeeded", timeout=120_000)
    expect(pages[2].get_by_text(held.format(second.number)).first).to_be_visible(timeout=120_000)
    expect(pages[1].get_by_role("main")).not_to_contain_text("acts on environment")
    in_container(second, "act", "touch", "/tmp/end")
    site.wait(third, "act", "running")
    in_container(third, "act", "touch", "/tmp/end")
    site.wait(third)
    expect(line[0]).to_have_count(0)
    expect(line[2]).to_have_count(1)
    expect(staging).not_to_contain_text("in use")
    expect(staging).not_to_contain_text("nothing deployed yet")


def test_a_run_is_cancelled(visit, site):
    run = site.begin("shop", "talk")
    page = visit(f"{run.page}?step=speak&tab=logs", who="dev")
    expect(log(page)).to_contain_text("first words", timeout=120_000)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    expect(heading(page)).to_contain_text("cancelled", timeout=120_000)


def test_two_runs_are_compared(visit, site):
    before, after = site.run("shop", "paint"), site.run("shop", "paint", variables={"COLOUR": "green"})
    page = visit(f"{before.page}/compare/{after.number}")
    main = page.get_by_role("main")
    expect(main).to_contain_text("COLOUR")
    expect(main).to_contain_text("red")
    expect(main).to_contain_text("green")
    expect(main).to_contain_text("colour.txt")
    expect(main).to_contain_text("mix")


def test_news_go_on_after_a_restart_of_the_server(visit, site, watch):
    run = site.begin("shop", "talk")
    page = visit(f"{run.page}?step=speak&tab=logs")
    expect(log(page)).to_contain_text("first words", timeout=120_000)
    # While there is no server, every request of the page fails: that is not a complaint here.
    watch.tolerate("net::ERR", "Failed to fetch", "503: GET")
    site.stop()
    site.start()
    in_container(run, "speak", "touch", "/tmp/go")
    expect(log(page)).to_contain_text("second words", timeout=120_000)
    in_container(run, "speak", "touch", "/tmp/end")
    expect(heading(page)).to_contain_text("succeeded", timeout=120_000)


def test_a_new_variable_of_a_rerun_may_be_called_like_another_while_it_is_typed(visit, site):
    run = site.run("shop", "paint")
    page = visit(run.page)
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add a variable").click()
    dialog.get_by_label("Name", exact=True).fill("COLOUR-S")
    dialog.get_by_role("button", name="Run again with 1 changed").click()
    dialog.locator("[id$=-error]").filter(has_text="COLOUR-S").wait_for()  # at its field
    dialog.get_by_label("Name", exact=True).clear()
    dialog.get_by_label("Name", exact=True).press_sequentially("COLOURS")
    dialog.get_by_label("Value of COLOURS").fill("many")
    dialog.get_by_role("button", name="Run again with 1 changed").click()
    page.wait_for_url(f"**/runs/{run.number + 1}")
    again = site.ask("GET", "runs?project=shop&pipeline=paint")["items"][0]
    assert site.ask("GET", f"runs/{again['id']}")["variables"] == {"COLOUR": "red", "COLOURS": "many"}
    site.wait(RunAddress(again["id"], again["number"], "shop"))
