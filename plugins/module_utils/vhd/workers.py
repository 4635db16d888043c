# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The linuxvhd.azure contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few threads that work off a list. Python lets go of its lock while a file is read or written, so that one thread
reads while another writes.

Private to the collection: its interface may change in any release.
"""

import queue
import threading
from typing import Any, Callable, Iterator, List

Work = Callable[[Any], None]


def work_off(items: Iterator[Any], make_work: Callable[[], Work], done: Work, count: int) -> None:
    """Do every item in one of `count` threads, each with a work of its own; done(item), here, after each.

    The first failure ends all and is raised here. No thread is left when this returns or raises.
    """
    results: "queue.Queue[Any]" = queue.Queue()
    turn = threading.Lock()
    over = threading.Event()

    def loop() -> None:
        try:
            work = make_work()
            while not over.is_set():
                with turn:
                    item = next(items, None)
                if item is None:
                    break
                work(item)
                results.put((item, None))
        except BaseException as exc:  # raised again by the thread that waits
            results.put((None, exc))
        results.put(None)

    threads: List[threading.Thread] = []
    try:
        for _number in range(count):
            threads.append(threading.Thread(target=loop, daemon=True))
            threads[-1].start()
        running = count
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif result[1] is not None:
                raise result[1]
            else:
                done(result[0])
    finally:
        over.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
