-- owner: history
-- +goose Up
CREATE TABLE history_videos (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    deleted_at BIGINT NOT NULL
);

CREATE TABLE history_facts (
    video_id TEXT NOT NULL,
    name TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (video_id, name)
);

CREATE TABLE history_tasks (
    token_hash TEXT PRIMARY KEY,
    video_id TEXT NOT NULL,
    hook TEXT NOT NULL,
    plugin TEXT NOT NULL,
    answered_at BIGINT NOT NULL,
    answer TEXT NOT NULL,
    noted_at BIGINT NOT NULL
);

CREATE INDEX history_tasks_of_video ON history_tasks (video_id);
CREATE INDEX history_tasks_by_age ON history_tasks (noted_at);

-- +goose Down
DROP TABLE history_tasks;
DROP TABLE history_facts;
DROP TABLE history_videos;
