-- owner: video
-- +goose Up
-- Whether its people have said which event tag the video has, or that it has none.
ALTER TABLE videos ADD COLUMN event_typed BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE videos SET event_typed = TRUE WHERE event_tag <> '';

-- Where the transcript lies, "" when there is none.
ALTER TABLE videos ADD COLUMN transcript TEXT NOT NULL DEFAULT '';

-- The words of transcripts by which videos are found, in a table of their own:
-- they are long, and lists read whole rows of videos.
CREATE TABLE video_transcripts (
    video_id TEXT PRIMARY KEY,
    words TEXT NOT NULL
);

-- +goose Down
DROP TABLE video_transcripts;
ALTER TABLE videos DROP COLUMN transcript;
ALTER TABLE videos DROP COLUMN event_typed;
