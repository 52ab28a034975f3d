-- owner: video
-- +goose Up
-- A deleted video is swept once more when nobody can still work on it: at
-- sweep_again_at (ms), 0 when that is done.
ALTER TABLE videos ADD COLUMN sweep_again_at BIGINT NOT NULL DEFAULT 0;
-- The bytes of all its objects; -1 while they are not counted.
ALTER TABLE videos ADD COLUMN stored_bytes BIGINT NOT NULL DEFAULT -1;

CREATE INDEX videos_deleted ON videos (deleted_at) WHERE deleted_at > 0;
CREATE INDEX videos_unmeasured ON videos (id) WHERE stored_bytes < 0;

-- What channels keep of their recordings; 0 stands for no limit.
CREATE TABLE video_retention (
    channel TEXT PRIMARY KEY,
    keep_days BIGINT NOT NULL,
    keep_bytes BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

-- +goose Down
DROP TABLE video_retention;
DROP INDEX videos_unmeasured;
DROP INDEX videos_deleted;
ALTER TABLE videos DROP COLUMN stored_bytes;
ALTER TABLE videos DROP COLUMN sweep_again_at;
