-- +goose Up
CREATE TABLE run (
    id            TEXT PRIMARY KEY,
    workflow      TEXT NOT NULL,
    subject       TEXT NOT NULL,
    phase         TEXT NOT NULL,
    step          TEXT NOT NULL,
    undoing       BOOLEAN NOT NULL,
    visit         BIGINT NOT NULL,
    attempt       BIGINT NOT NULL,
    reason        TEXT NOT NULL,
    error         TEXT NOT NULL,
    abort         TEXT NOT NULL,
    hold          TEXT NOT NULL,
    input         TEXT NOT NULL,
    nudges        BIGINT NOT NULL,
    job_id        BIGINT NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    step_at       TIMESTAMPTZ NOT NULL,
    step_deadline TIMESTAMPTZ NOT NULL,
    deadline      TIMESTAMPTZ NOT NULL,
    wake_at       TIMESTAMPTZ NOT NULL,
    ended_at      TIMESTAMPTZ
);
CREATE INDEX run_subject ON run (subject, created_at);
CREATE INDEX run_live ON run (wake_at) WHERE ended_at IS NULL;

CREATE TABLE run_step (
    run_id     TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    visit      BIGINT NOT NULL,
    step       TEXT NOT NULL,
    undo       BOOLEAN NOT NULL,
    attempts   BIGINT NOT NULL,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ,
    PRIMARY KEY (run_id, visit)
);

CREATE TABLE lease (
    subject TEXT PRIMARY KEY,
    owner   TEXT NOT NULL,
    fence   BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX lease_owner ON lease (owner);

CREATE TABLE conductor (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    roles      TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    seen       BIGINT NOT NULL
);

-- +goose Down
DROP TABLE conductor;
DROP TABLE lease;
DROP TABLE run_step;
DROP TABLE run;
