/* The bare floor: the least that an honest one-shot does to read or write one entry of a SQLite file.
 *
 *   floor init FILE KEYS         make a table shaped like that of the store, with KEYS entries
 *   floor get  FILE NAME         print the value; exit 2 when there is none
 *   floor set  FILE NAME VALUE
 *
 * It leaves without closing, and empties the log after 64 frames, as the store does: else each command would pay for
 * a checkpoint, or the log would grow without end. */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MISSING = 2, USAGE = 64, LOG_FRAMES = 64, BUSY_MS = 5000 };

static const char SCHEMA[] =
    "PRAGMA journal_mode=WAL;"
    "CREATE TABLE entries(ns INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, expires INTEGER, writer TEXT, value BLOB NOT NULL,"
    " PRIMARY KEY(ns, name)) WITHOUT ROWID;";
static const char FILL[] =
    "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)"
    " INSERT INTO entries SELECT 1, printf('key%09d', i), i + 1, ?2, ?2, NULL, NULL,"
    " CAST(printf('%0100d', i) AS BLOB) FROM n";
static const char GET[] = "SELECT value FROM entries WHERE ns = 1 AND name = ?1 AND (expires IS NULL OR expires > ?2)";
static const char SET[] =
    "INSERT INTO entries VALUES(1, ?1, 1, ?2, ?2, NULL, NULL, ?3) ON CONFLICT DO UPDATE SET"
    " version = version + 1, updated = excluded.updated, expires = NULL, writer = NULL, value = excluded.value";

static sqlite3 *db;

static void check(int code, int wanted)
{
    if (code == wanted) return;
    fprintf(stderr, "floor: %s\n", sqlite3_errmsg(db));
    _exit(1);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int init(const char *keys)
{
    check(sqlite3_exec(db, SCHEMA, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_stmt *fill = prepare(FILL);
    sqlite3_bind_int64(fill, 1, atoll(keys));
    sqlite3_bind_int64(fill, 2, now_ms());
    check(sqlite3_step(fill), SQLITE_DONE);
    sqlite3_finalize(fill);
    check(sqlite3_close(db), SQLITE_OK);
    return 0;
}

static int get(const char *name)
{
    sqlite3_stmt *select = prepare(GET);
    sqlite3_bind_text(select, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(select, 2, now_ms());
    int code = sqlite3_step(select);
    if (code == SQLITE_DONE) return MISSING;
    check(code, SQLITE_ROW);
    const char *value = sqlite3_column_blob(select, 0);
    size_t size = (size_t)sqlite3_column_bytes(select, 0);
    char line[size + 1];
    memcpy(line, value, size);
    line[size] = '\n';
    return write(STDOUT_FILENO, line, size + 1) < 0;
}

static int empty_log(void *unused, sqlite3 *connection, const char *schema, int frames)
{
    (void)unused;
    if (frames < LOG_FRAMES) return SQLITE_OK;
    return sqlite3_wal_checkpoint_v2(connection, schema, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static int set(const char *name, const char *value)
{
    sqlite3_wal_hook(db, empty_log, NULL);
    sqlite3_stmt *upsert = prepare(SET);
    sqlite3_bind_text(upsert, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(upsert, 2, now_ms());
    sqlite3_bind_blob(upsert, 3, value, (int)strlen(value), SQLITE_STATIC);
    check(sqlite3_step(upsert), SQLITE_DONE);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) return USAGE;
    int making = !strcmp(argv[1], "init");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (making ? SQLITE_OPEN_CREATE : 0);
    check(sqlite3_open_v2(argv[2], &db, flags, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, BUSY_MS);
    if (making && argc == 4) _exit(init(argv[3]));
    if (!strcmp(argv[1], "get") && argc == 4) _exit(get(argv[3]));
    if (!strcmp(argv[1], "set") && argc == 5) _exit(set(argv[3], argv[4]));
    return USAGE;
}
