-- owner: postprocess
-- +goose Up
CREATE TABLE postprocess_jobs (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    prefix TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX postprocess_jobs_unfinished ON postprocess_jobs (state, created_at);

-- +goose Down
DROP TABLE postprocess_jobs;
