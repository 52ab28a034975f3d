-- owner: pluginmanager
-- +goose Up
CREATE TABLE plugins (
    name TEXT PRIMARY KEY,
    hook TEXT NOT NULL,
    position BIGINT NOT NULL,
    time_limit_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    manifest TEXT NOT NULL,
    present BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE plugin_lifecycles (
    flow_id TEXT PRIMARY KEY,
    video_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    answer_bytes BIGINT NOT NULL
);

CREATE TABLE plugin_tasks (
    flow_id TEXT NOT NULL,
    hook TEXT NOT NULL,
    plugin TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    position BIGINT NOT NULL,
    video_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    asked_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (flow_id, hook, plugin, attempt)
);

CREATE INDEX plugin_tasks_open ON plugin_tasks (state, deadline);

CREATE TABLE plugin_answers (
    flow_id TEXT NOT NULL,
    hook TEXT NOT NULL,
    plugin TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    answered_at BIGINT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (flow_id, hook, plugin, attempt)
);

-- +goose Down
DROP TABLE plugin_answers;
DROP TABLE plugin_tasks;
DROP TABLE plugin_lifecycles;
DROP TABLE plugins;
