"""Eight processes that all want the same task, and then the next one. Each should have one winner."""

from crowd import all_at_once

PROCESSES = 8
LINES = ["claims_one", "claims_none", "claims_most"]


def measure(lab, board):
    tasks = lab.scaled(200, 20)
    for rival in lab.able(board, LINES):
        if winners := lab.attempt(board, rival, LINES, lambda: in_lab(lab, rival, tasks)):
            figures = [[winners.count(1), tasks], [winners.count(0), tasks], max(winners)]
            for line, figure in zip(LINES, figures):
                board.put(line, rival.name, figure)


def in_lab(lab, rival, tasks):
    with lab.opened(rival) as store:
        store.add_tasks(tasks)
        return race(store, tasks)


def race(store, tasks):
    """How many were told that they have the task, for each."""

    def want_all(number, gate):
        worker = store.worker()
        wins = []
        for task in range(tasks):
            gate.meet()
            wins.append(worker.claim(task, f"w{number}"))
        worker.end()
        return wins

    return [sum(wins) for wins in zip(*all_at_once(PROCESSES, want_all))]
