"""Whether KVM works is found out by booting a kernel; here QEMU is a script that says so."""

import json
import os

import pytest
from gso.kernel.machine import kvm


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """Try KVM with a QEMU that does this, and the kernel of an earlier run."""
    image = tmp_path / "cache" / "debian" / "6.12" / "boot" / "vmlinuz-6.12"
    image.parent.mkdir(parents=True)
    image.touch()
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(kvm, "DEVICE", device)
    monkeypatch.setattr(kvm, "_PROBE_SECONDS", 1.0)

    program = tmp_path / "qemu-system-x86_64"

    def run(script):
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return kvm.probe()

    run.arguments = tmp_path / "arguments"
    run.image = image
    run.device = device
    run.program = program
    run.answer = tmp_path / "cache" / "kvm.json"
    return run


def test_a_kernel_that_starts(probe):
    found = probe("echo Probing EDD; echo '[    0.000000] Linux version 6.12'; exec sleep 60")
    assert found == kvm.Kvm(True, "a kernel starts")
    assert "accel=kvm -cpu host -m 512M" in probe.arguments.read_text()
    assert f"-kernel {probe.image} " in probe.arguments.read_text()


def test_an_instruction_that_kvm_cannot_run(probe):
    """QEMU goes on, its machine does not."""
    found = probe("echo Probing EDD; echo 'KVM internal error. Suberror: 1' >&2; exec sleep 60")
    assert found == kvm.Kvm(False, "KVM internal error. Suberror: 1")


def test_qemu_that_refuses(probe):
    refusal = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"
    assert probe(f"echo '{refusal}' >&2; exit 1") == kvm.Kvm(False, refusal)


def test_a_kernel_that_says_nothing(probe):
    assert probe("exec sleep 60") == kvm.Kvm(False, "with it a kernel says nothing")


def test_no_kernel_to_try_it_with(probe):
    probe.image.unlink()
    found = probe("echo Linux version")
    assert found == kvm.Kvm(False, f"no kernel yet to try {probe.device} with")
    assert not probe.arguments.exists()


def test_no_kvm(probe):
    probe.device.unlink()
    found = probe("echo Linux version")
    assert found == kvm.Kvm(False, f"{probe.device} is not there or not accessible")
    assert not probe.arguments.exists()


WORKS = ("echo Linux version; exec sleep 60", kvm.Kvm(True, "a kernel starts"))
FAILS = ("echo 'KVM internal error'", kvm.Kvm(False, "KVM internal error"))


@pytest.mark.parametrize(("script", "answer"), [WORKS, FAILS])
def test_the_answer_is_kept(probe, script, answer):
    assert probe(script) == answer
    probe.arguments.unlink()
    assert kvm.probe() == answer
    assert not probe.arguments.exists()


@pytest.mark.parametrize("part", ["device", "image", "program"])
def test_what_makes_the_answer_old(probe, part):
    probe(WORKS[0])
    probe.arguments.unlink()
    getattr(probe, part).touch()
    assert kvm.probe() == WORKS[1]
    assert probe.arguments.exists()


def test_asking_again(probe):
    probe(WORKS[0])
    probe.arguments.unlink()
    assert kvm.probe(again=True) == WORKS[1]
    assert probe.arguments.exists()


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"parts": 1', "\0"])
def test_a_damaged_answer_is_not_believed(probe, damaged):
    probe(WORKS[0])
    probe.answer.write_text(damaged)
    assert kvm.probe() == WORKS[1]
    assert json.loads(probe.answer.read_text())["answer"]["works"]


def test_no_qemu(probe, monkeypatch):
    monkeypatch.setenv("PATH", str(probe.device.parent))
    assert kvm.probe() == kvm.Kvm(False, "qemu-system-x86_64 is not installed")
