"""Test reports as tools write them, and as nobody should."""

import pytest

from flowbuild.core.errors import InvalidRequest
from flowbuild.spec import junit
from flowbuild.spec.junit import DEPTH_MAX, DETAILS_MAX, ELEMENTS_MAX, MESSAGE_MAX, NotAReport, is_report, read

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.1">
<testcase classname="tests.test_a" name="test_ok" time="0.002" file="tests/test_a.py" line="3"/>
<testcase classname="tests.test_a" name="test_bad" time="0.5"><failure message="assert 1 == 2">def test_bad():
&gt;   assert 1 == 2</failure></testcase>
<testcase classname="tests.test_a" name="test_odd" time="0"><error message="no fixture">trace</error></testcase>
<testcase classname="tests.test_a" name="test_not" time="0"><skipped type="pytest.skip" message="why">x</skipped></testcase>
</testsuite></testsuites>"""
SUREFIRE = b"""<testsuite name="com.example.ShopTest" time="1,234.5"><properties><property name="a" value="b"/></properties>
<testcase name="buys" classname="com.example.ShopTest" time="1,234.5"><failure type="java.lang.AssertionError">at Shop
</failure><failure message="second"/><system-out>a lot of words</system-out></testcase></testsuite>"""
NESTED = b"""<testsuites><testsuite name="outer"><testsuite name="inner"><testcase name="in"><testcase name="odd"/></testcase></testsuite>
<testcase name="out"><skipped/><failure message="worse"/></testcase></testsuite></testsuites>"""
BOMB = b"""<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"""
OUTSIDE = b"""<!DOCTYPE testsuite SYSTEM "file:///etc/passwd"><testsuite/>"""


def cases(data):
    found = []
    read(data, found.append)
    return found


def test_what_pytest_writes():
    ok, bad, odd, skipped = cases(PYTEST)
    assert [each.status for each in (ok, bad, odd, skipped)] == ["passed", "failed", "errored", "skipped"]
    assert (ok.suite, ok.classname, ok.name, ok.seconds) == ("pytest", "tests.test_a", "test_ok", 0.002)
    assert (ok.file, ok.line) == ("tests/test_a.py", 3)
    assert (bad.message, bad.details) == ("assert 1 == 2", "def test_bad():\n>   assert 1 == 2")
    assert (skipped.message, bad.line) == ("why", 0)


def test_what_surefire_writes():
    (case,) = cases(SUREFIRE)
    assert (case.status, case.seconds, case.message, case.details) == (
        "failed", 1234.5, "java.lang.AssertionError", "at Shop",
    )  # fmt: skip


def test_suites_in_suites():
    inner, outer = cases(NESTED)
    assert (inner.suite, inner.name, outer.suite, outer.status, outer.message) == (
        "inner", "in", "outer", "failed", "worse",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        (b"<testsuite><testcase></testsuite>", "no XML: mismatched tag in line 1"),
        (b"<testsuite><testcase name='&nothing;'/></testsuite>", "undefined entity"),
        (b"", "no element found"),
        (b"\x00\x01", "no XML"),
        (b"<?xml version='1.0' encoding='utf-7'?><testsuite/>", "encoding"),
        (b"<?xml version='1.0' encoding='rot13'?><testsuite/>", "encoding"),
        (b"<testsuite>" * (DEPTH_MAX + 1), "nested too deeply"),
        (b"<testsuite>" + b"<a/>" * ELEMENTS_MAX, "too many elements"),
        (b"<testsuite>" + b" " * junit.BYTES_MAX, "16 MiB"),
    ],
)
def test_what_cannot_be_read_is_told(data, words):
    with pytest.raises(InvalidRequest) as caught:
        cases(data)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "data", [b"<coverage/>", b"<html><testsuite/></html>", b"<checkstyle><testcase/></checkstyle>"]
)
def test_other_xml_is_no_report(data):
    with pytest.raises(NotAReport):
        cases(data)


def test_texts_are_cut_and_odd_numbers_are_none():
    text = (
        b"<testsuite><testcase name='%s' time='nan' line='-1'><failure message='%s'>%s</failure></testcase></testsuite>"
    )
    (case,) = cases(text % (b"n" * 9999, b"m" * 9999, b"d" * 9999))
    assert (len(case.name), len(case.message), len(case.details)) == (junit.WORD_MAX, MESSAGE_MAX, DETAILS_MAX)
    assert (case.seconds, case.line) == (0.0, 0)


@pytest.mark.parametrize(
    "path",
    [
        b"junit.xml", b"a/b/junit-unit.xml", b"unit.junit.xml", b"report.xml", b"test-results.xml", b"TestResults.xml",
        b"target/surefire-reports/TEST-com.example.ShopTest.xml", b"build/test-results/test/x.xml", b"reports/unit.XML",
        b"test_reports/a.xml", b"TEST-x.xml", b"nosetests.xml", b"web/test-results/out/x.xml",
    ],
)  # fmt: skip
def test_where_reports_are_looked_for(path):
    assert is_report(path)


@pytest.mark.parametrize(
    "path",
    [b"pom.xml", b"src/main/layout.xml", b"reports/index.html", b"node_modules/x/test-results/a.xml", b"latest.xml"],
)
def test_where_they_are_not(path):
    assert not is_report(path)
