"""The scoreboard finds what it looks for, and what it writes is what it has measured."""

import json
import os
import tempfile
import unittest
import xml.etree.ElementTree as xml

import docs
import pictures
from board import Board, read
from measures import claims, contention, crash
from rivals import ALL
from rivals.etcd import transaction
from stats import median, percentile, value


class Notes:
    """A store that keeps a line for each write in a file, and loses those that `forgets` says."""

    name = "notes"

    def __init__(self, file, forgets=lambda key: False):
        self.file, self.forgets = file, forgets

    def worker(self):
        return self

    def end(self):
        pass

    def kill(self):
        pass

    def reopen(self):
        pass

    def set(self, key, content):
        if not self.forgets(key):
            fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, f"{key} {content}\n".encode())
            os.close(fd)
        return True

    def increment(self, serial):
        return self.set(serial, "")

    def entries(self):
        if not os.path.exists(self.file):
            return {}
        with open(self.file) as lines:
            return dict(line.rstrip("\n").split(" ", 1) for line in lines)

    def counter(self):
        return len(self.entries())

    def claim(self, task, who):
        """Task 0 is nobody's, task 1 is everybody's, the others go to the first worker."""
        return task > 0 and (task == 1 or who == "w0")


class Finds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "notes")

    def rush(self, forgets, work, count_lost):
        return contention.rush(Notes(self.file, forgets), 0.05, work, count_lost)

    def test_entries_that_are_lost_are_counted(self):
        every_process_loses_its_first = lambda key: key.endswith("n0")
        came = self.rush(every_process_loses_its_first, contention.write_own, contention.lost_entries)
        self.assertEqual((came.lost, came.failed), (contention.PROCESSES, 0))
        self.assertGreater(came.acknowledged, came.lost)

    def test_steps_of_a_counter_that_are_lost_are_counted(self):
        one_loses_its_first = lambda key: key == "w3n0"
        came = self.rush(one_loses_its_first, contention.add, contention.lost_steps)
        self.assertEqual(came.lost, 1)

    def test_nothing_lost_is_nothing_counted(self):
        came = self.rush(lambda key: False, contention.write_own, contention.lost_entries)
        self.assertEqual((came.lost, came.failed), (0, 0))

    def test_tasks_of_nobody_and_of_several_are_found(self):
        self.assertEqual(claims.race(Notes(self.file), 4), [0, claims.PROCESSES, 1, 1])

    def test_what_a_killed_writer_has_acknowledged_is_known(self):
        class Dice:
            uniform = staticmethod(lambda least, most: least)

        store = Notes(self.file, forgets=lambda key: key == "c0n0")
        acknowledged = crash.crash(store, 0, Dice)
        lost = {key for key in acknowledged if store.entries().get(key) != value(crash.number_of(key))}
        self.assertEqual(lost, {"c0n0"})


class Writes(unittest.TestCase):
    def board(self):
        board = Board(["/bin/true", "prontodb", "a & b"], printing=False)
        board.put("get_median", "/bin/true", 0.0005)
        board.put("get_median", "prontodb", 0.0008)
        board.put("get_median", "a & b", 1.5)
        board.lack("bulk_in", "/bin/true", "")
        board.lack("bulk_in", "a & b", "no bulk call")
        for name, lost in [("prontodb", 0), ("a & b", 7)]:
            board.put("counter_rate", name, 1234.5)
            board.put("counter_failed", name, [0, 10])
            board.put("counter_lost", name, [lost, 10])
        return board

    def raw(self):
        cells = "\n".join(json.dumps(cell) for cell in self.board().cells.values())
        said = "rival: prontodb 1: as it comes\nleft out: etcd; there is no etcd"
        return f"processor: A Chip, 2 cores\n\n{said}\n\n{cells}\n"

    def test_a_raw_file_reads_as_the_board_that_wrote_it(self):
        self.assertEqual(read(self.raw()).table(), self.board().table())

    def test_what_is_lacking_and_what_was_not_measured_says_so(self):
        line = next(line for line in self.board().table().splitlines() if "entries in" in line)
        cells = [cell.strip() for cell in line.split("|")[2:-1]]
        self.assertEqual(cells, ["", "not measured", "no bulk call"])

    def test_the_documentation_changes_between_its_marks_alone(self):
        page = f"before\n{docs.BEGIN}\nstale figures\n{docs.END}\nafter\n"
        once = docs.replaced(page, docs.block(self.raw(), "2026-01-02-scoreboard.txt"))
        self.assertEqual(docs.replaced(once, docs.block(self.raw(), "2026-01-02-scoreboard.txt")), once)
        self.assertTrue(once.startswith("before\n") and once.endswith("\nafter\n") and "stale" not in once)
        for told in ["2026-01-02, on A Chip, 2 cores", "0.80 ms", "left out: etcd", "pictures/cold-get.svg"]:
            self.assertIn(told, once)

    def test_the_page_has_a_place_for_the_figures(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        with open(os.path.join(root, "docs/performance.md")) as page:
            self.assertIn("\nnew\n", docs.replaced(page.read(), "new"))

    def test_pictures_are_whole_and_of_what_was_measured(self):
        drawn = pictures.draw_all(self.board())
        self.assertEqual(set(drawn), {"cold-get.svg", "contention.svg"})
        for picture in drawn.values():
            xml.fromstring(picture)
        self.assertIn("7 lost", drawn["contention.svg"])

    def test_bars_are_as_long_as_what_they_stand_for(self):
        svg = xml.fromstring(pictures.draw("t", "n", [("a", 10, "10", False), ("b", 5, "5", False)]))
        widths = [int(bar.get("width")) for bar in svg.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual(widths[0], 2 * widths[1])


class Shape(unittest.TestCase):
    def test_rivals_have_names_and_settings_of_their_own(self):
        self.assertEqual(len({rival.name for rival in ALL}), len(ALL))
        for rival in ALL:
            self.assertTrue(rival.settings, rival.name)

    def test_a_transaction_without_a_condition_does_what_it_says(self):
        self.assertEqual(transaction("", "put a b"), b"\nput a b\n\n\n\n")
        self.assertEqual(transaction("c", "put a b"), b"c\n\nput a b\n\n\n\n")

    def test_percentiles_are_numbers_that_were_measured(self):
        numbers = list(range(101, 0, -1))
        self.assertEqual((median(numbers), percentile(numbers, 99)), (51, 100))


if __name__ == "__main__":
    unittest.main()
