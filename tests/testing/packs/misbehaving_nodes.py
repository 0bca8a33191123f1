"""Nodes that do not come back when they are called, and nodes that are harmless but loud."""

import ctypes
import os
import signal
import sys
import threading
import time


class Fine:
    """Gives the number; the others do something before."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"number": ("INT", {"default": 1, "min": 0, "max": 3})}}

    def run(self, number):
        return (number,)


class Hangs(Fine):
    def run(self, number):
        while True:
            time.sleep(60)


class NeverComesBack(Fine):
    """Waits in C code that lets no other thread in, and takes no signals."""

    def run(self, number):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        ctypes.PyDLL(None).sleep(3600)


class EatsMemory(Fine):
    def run(self, number):
        eaten = []
        while True:
            eaten.append(bytes(2**26))


class ExitsAtOnce(Fine):
    def run(self, number):
        os._exit(7)


class Exits(Fine):
    def run(self, number):
        sys.exit("I quit")


class Crashes(Fine):
    def run(self, number):
        ctypes.string_at(0)


class LeavesThreads(Fine):
    def run(self, number):
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        return (number,)


class Prints(Fine):
    def run(self, number):
        print("the number is", number)  # noqa: T201
        os.write(1, b'{"report": "nonsense"}\n')
        return (number,)


class AsksTheUser(Fine):
    def run(self, number):
        return (int(input("which number? ") or number),)


class HangsInIsChanged(Fine):
    @classmethod
    def IS_CHANGED(cls, number):
        while True:
            time.sleep(60)


NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        Fine, Hangs, NeverComesBack, EatsMemory, ExitsAtOnce, Exits, Crashes, LeavesThreads,
        Prints, AsksTheUser, HangsInIsChanged,
    )
}  # fmt: skip
