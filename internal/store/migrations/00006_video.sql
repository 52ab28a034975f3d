-- owner: video
-- +goose Up
CREATE TABLE videos (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    username TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    prefix TEXT NOT NULL,
    recorded BOOLEAN NOT NULL,
    processed BOOLEAN NOT NULL,
    mp4_key TEXT NOT NULL,
    thumbnail_key TEXT NOT NULL,
    duration_ms BIGINT NOT NULL,
    width BIGINT NOT NULL,
    height BIGINT NOT NULL,
    size BIGINT NOT NULL,
    title TEXT NOT NULL,
    typed_title TEXT NOT NULL,
    tags TEXT NOT NULL,
    event_tag TEXT NOT NULL,
    visibility TEXT NOT NULL,
    deleted_at BIGINT NOT NULL,
    swept BOOLEAN NOT NULL
);

CREATE INDEX videos_listed ON videos (status, visibility, created_at, id);
CREATE INDEX videos_of_event ON videos (event_tag, status, visibility, created_at, id);
CREATE INDEX videos_of_channel ON videos (channel, created_at, id);

-- +goose Down
DROP TABLE videos;
