-- owner: simulator
-- +goose Up
CREATE TABLE simulations (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    ending TEXT NOT NULL,
    started_by TEXT NOT NULL,
    asked BIGINT NOT NULL,
    at_once BIGINT NOT NULL,
    keep BOOLEAN NOT NULL,
    forget BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    touched_at BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    deadline BIGINT NOT NULL
);

-- One runs at a time.
CREATE UNIQUE INDEX simulations_running ON simulations (state) WHERE state = 'running';
CREATE INDEX simulations_listed ON simulations (created_at, id);

CREATE TABLE simulation_videos (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    number BIGINT NOT NULL,
    original TEXT NOT NULL,
    channel TEXT NOT NULL,
    title TEXT NOT NULL,
    prefix TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    begun_at BIGINT NOT NULL,
    processed_at BIGINT NOT NULL,
    lifecycle_at BIGINT NOT NULL,
    judged_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    compute TEXT NOT NULL,
    skipped TEXT NOT NULL
);

CREATE UNIQUE INDEX simulation_videos_of_run ON simulation_videos (run, number);

-- +goose Down
DROP TABLE simulation_videos;
DROP TABLE simulations;
