"""Whether KVM works is found out by booting a kernel; here QEMU is a script that says so."""

import os

import pytest
from gso.kernel import vm


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """Try KVM with a QEMU that does this, and the kernel of an earlier run."""
    image = tmp_path / "cache" / "debian" / "6.12" / "boot" / "vmlinuz-6.12"
    image.parent.mkdir(parents=True)
    image.touch()
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(vm.os, "access", lambda *_: True)
    monkeypatch.setattr(vm, "_KVM_PROBE_SECONDS", 1.0)
    vm._try_kvm.cache_clear()

    def run(script):
        program = tmp_path / "qemu-system-x86_64"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return vm.probe_kvm()

    run.arguments = tmp_path / "arguments"
    run.image = image
    yield run
    vm._try_kvm.cache_clear()


def test_a_kernel_that_starts(probe):
    found = probe("echo Probing EDD; echo '[    0.000000] Linux version 6.12'; sleep 60")
    assert found == vm.Kvm(True, "a kernel starts")
    assert "accel=kvm -cpu host -m 512M" in probe.arguments.read_text()
    assert f"-kernel {probe.image} " in probe.arguments.read_text()


def test_an_instruction_that_kvm_cannot_run(probe):
    """QEMU goes on, its machine does not."""
    found = probe("echo Probing EDD; echo 'KVM internal error. Suberror: 1' >&2; sleep 60")
    assert found == vm.Kvm(False, "KVM internal error. Suberror: 1")


def test_qemu_that_refuses(probe):
    refusal = "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"
    assert probe(f"echo '{refusal}' >&2; exit 1") == vm.Kvm(False, refusal)


def test_a_kernel_that_says_nothing(probe):
    assert probe("sleep 60") == vm.Kvm(False, "with it a kernel says nothing")


def test_no_kernel_to_try_it_with(probe):
    probe.image.unlink()
    found = probe("echo Linux version")
    assert found == vm.Kvm(False, "no kernel yet to try /dev/kvm with")
    assert not probe.arguments.exists()


def test_the_answer_is_kept(probe):
    assert probe("echo Linux version; sleep 60").works
    probe.arguments.unlink()
    assert probe("exit 1").works
    assert not probe.arguments.exists()
