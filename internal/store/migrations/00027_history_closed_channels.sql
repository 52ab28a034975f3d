-- owner: history
-- +goose Up
-- Channels whose owner's account is deleted: news of a broadcast of theirs that comes
-- later must not begin its story.
CREATE TABLE history_closed_channels (
    channel TEXT PRIMARY KEY,
    closed_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE history_closed_channels;
