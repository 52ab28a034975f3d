-- owner: history
-- What a rebuild of the history has read of the archive and not yet put in
-- place. A fact without a name says that the video was deleted.
-- +goose Up
CREATE TABLE history_staged (
    video_id TEXT NOT NULL,
    name TEXT NOT NULL,
    channel TEXT NOT NULL,
    happened_at BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (video_id, name)
);

-- +goose Down
DROP TABLE history_staged;
