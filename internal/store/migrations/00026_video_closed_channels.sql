-- owner: video
-- +goose Up
-- Channels whose owner's account is deleted: a recording of theirs that ends later
-- is deleted as well.
CREATE TABLE video_closed_channels (
    channel TEXT PRIMARY KEY,
    closed_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE video_closed_channels;
