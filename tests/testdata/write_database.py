"""Moves money in an SQLite database in WAL mode, as fast as it can, until it is killed.

The sum of all accounts is always 0, and the number of log entries is the number of moves.
Prints a line when the first move is done. Argument: the file.
"""

import random
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA wal_autocheckpoint = 20")
database.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, note TEXT)")
database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT)")
database.execute("CREATE INDEX by_amount ON account (amount)")
for number in range(200):
    database.execute("INSERT INTO account VALUES (?, 0, ?)", (number, "x" * 500))
database.execute("CREATE TABLE total AS SELECT 0 AS moves")
count = 0
while True:
    one, other = random.sample(range(200), 2)
    database.execute("BEGIN")
    database.execute("UPDATE account SET amount = amount - 1 WHERE id = ?", (one,))
    database.execute("UPDATE account SET amount = amount + 1 WHERE id = ?", (other,))
    database.execute("INSERT INTO log (text) VALUES (?)", (f"{one} to {other} " + "y" * 200,))
    database.execute("UPDATE total SET moves = moves + 1")
    database.execute("COMMIT")
    count += 1
    if count == 1:
        print("begun", flush=True)
