"""How much an agent has to read."""


def measure(lab, board):
    for rival in lab.able(board, ["answer_listing", "answer_tools"]):
        with lab.opened(rival) as store:
            board.put("answer_listing", rival.name, store.answer_size())
            if rival.lacks("answer_tools") is None:
                board.put("answer_tools", rival.name, len(store.tools_list()))
