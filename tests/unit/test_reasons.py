"""Drop reasons: their names, their numbers by version, and what is said about them."""

from __future__ import annotations

import json
from html import unescape
from itertools import chain

import pytest
from gso.kernel.trees.drop_reasons import read_numbers

from gso.cli import main
from gso.diagnosis.reasons import REASONS, known_versions, reason_lists, reason_name


def test_every_reason_of_every_version_is_explained():
    every = chain.from_iterable(
        names for lists in reason_lists().values() for names in lists.values()
    )
    assert set(every) - {""} <= set(REASONS)
    for reason in REASONS.values():
        assert reason.meaning.endswith("."), reason
        assert len(reason.meaning) > 15, reason
        assert reason.look_at.endswith((".", "?")), reason


@pytest.mark.parametrize(
    ("number", "kernel", "name"),
    [
        # include/net/dropreason-core.h of these versions
        ("2", "6.1.170", "NO_SOCKET"),
        ("2", "6.12.117", "NOT_SPECIFIED"),
        ("0x2", "7.3.4", "NOT_SPECIFIED"),
        ("3", "6.12", "NO_SOCKET"),
        # Its number changed within 6.12.
        ("67", "6.12.117", "SKB_BAD_GSO"),
        ("67", "6.12.107", "FULL_RING"),
        # net/openvswitch/drop.h, and the number of the subsystem
        ("0x30001", "6.12.117", "OVS_DROP_LAST_ACTION"),
        ("196609", "6.12.117", "OVS_DROP_LAST_ACTION"),
        ("0x20001", "7.3.4", "OVS_DROP_LAST_ACTION"),
        ("0x30001", "7.3.4", "QDISC_DROP_GENERIC"),
        ("0x10001", "7.3.4", "RX_DROP_U_MIC_FAIL"),
        ("SKB_DROP_REASON_NO_SOCKET", "", "NO_SOCKET"),
    ],
)
def test_a_number_has_the_name_of_its_version(number, kernel, name):
    assert reason_name(number, kernel) == name


@pytest.mark.parametrize(
    ("number", "kernel"),
    [
        ("2", ""),  # NO_SOCKET in 6.1, NOT_SPECIFIED later
        ("67", "6.12"),  # one of two
        ("0x30001", ""),
        ("3", "5.18"),  # not read
        ("9999", "6.12.117"),
        ("0x90001", "7.3.4"),
        ("4294967295", "7.3.4"),
        ("", "7.3.4"),
        ("17 x", "7.3.4"),
    ],
)
def test_a_number_that_is_not_sure_stays_one(number, kernel):
    assert reason_name(number, kernel) == number


def test_series_are_those_that_debian_offers():
    assert {version.rpartition(".")[0] for version in known_versions()} >= {"6.1", "6.12", "7.3"}


def test_headers_are_read(tmp_path):
    for name, text in {
        "include/net/dropreason.h": "enum skb_drop_reason_subsys {\n\t/** @A: a */\n"
        "\tSKB_DROP_REASON_SUBSYS_CORE,\n\tSKB_DROP_REASON_SUBSYS_OPENVSWITCH,\n"
        "\tSKB_DROP_REASON_SUBSYS_QDISC,\n\tSKB_DROP_REASON_SUBSYS_NUM\n};\n",
        "include/net/dropreason-core.h": "enum skb_drop_reason {\n\tSKB_NOT_DROPPED_YET = 0,\n"
        "\t/** @SKB_DROP_REASON_ONE: one,\n\t * two\n\t */\n\tSKB_DROP_REASON_ONE,\n"
        "\tSKB_DROP_REASON_MAX,\n\tSKB_DROP_REASON_SUBSYS_MASK = 0xffff0000,\n};\n",
        "include/net/dropreason-qdisc.h": "enum qdisc_drop_reason {\n\tQDISC_DROP_UNSPEC = 0,\n"
        "\t__QDISC_DROP_REASON = A <<\n\t\t\tB,\n\tQDISC_DROP_GENERIC,\n\tQDISC_DROP_MAX,\n};\n",
        "net/openvswitch/drop.h": "#define OVS_DROP_REASONS(R)\t\\\n\tR(OVS_DROP_A)\t\\\n"
        "\t/* 0x10 */\t\\\n\tR(OVS_DROP_B)\t\\\n\t/* end */\n\nenum x {\n R(NOT)\n};\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_numbers(tmp_path) == {
        "0": "SKB_NOT_DROPPED_YET ONE",
        "1": "- OVS_DROP_A OVS_DROP_B",
        "2": "- QDISC_DROP_GENERIC",
    }


DROP = (
    "          <idle>-0     [001] ..s.    59.213051: kfree_skb: skbaddr=0xffff9ca661e90200 "
    "protocol=2048 location=ovs_dp_process_packet+0x1/0x2 reason: 0x30001\n"
)


def test_the_meaning_is_shown_everywhere(tmp_path, capsys):
    log, page = tmp_path / "a.log", tmp_path / "a.html"
    log.write_text("# tracer: nop\n" + DROP)
    options = ["diagnose", str(log), "--kernel", "6.12.117", "--html", str(page)]
    main(options)
    text = " ".join(capsys.readouterr().out.split())
    main([*options, "--json"])
    (drop,) = json.loads(capsys.readouterr().out)["logs"][0]["other_drops"]
    reason = REASONS["OVS_DROP_LAST_ACTION"]
    assert drop["reason"] == reason.name
    assert drop["meaning"] == reason.meaning
    assert drop["look_at"] == reason.look_at
    for shown in (text, unescape(page.read_text())):
        assert reason.name in shown
        assert reason.meaning in shown
        assert reason.look_at in shown
    main(["diagnose", str(log)])
    assert "0x30001" in capsys.readouterr().out
