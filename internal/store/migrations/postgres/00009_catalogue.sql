-- owner: video
-- What the broadcaster types, and the words by which a video is found. The two
-- databases index words in their own ways: this file has a twin in ../sqlite.
-- Both offer the same to queries: the table video_words, and video_search(q),
-- which yields as rowid the numbers of the rows that have every word of q; a
-- word with a * at its end stands for all that begin with it. Numbers rise with
-- the time at which a video was made, so that the newest can be read first.
-- +goose Up
ALTER TABLE videos ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE videos ADD COLUMN typed_tags TEXT NOT NULL DEFAULT '[]';

CREATE TABLE video_words (
    number BIGINT PRIMARY KEY,
    video_id TEXT NOT NULL UNIQUE,
    words TEXT NOT NULL,
    lexemes TSVECTOR GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED
);

-- Without a list of what is still to be put into the index, which every search
-- would have to read.
CREATE INDEX video_words_lexemes ON video_words USING GIN (lexemes) WITH (fastupdate = off);

-- The words come split and folded, and hold neither spaces nor quotes, so they
-- go into the tsquery as they are, past PostgreSQL's own parser.
-- +goose StatementBegin
CREATE FUNCTION video_search(q TEXT) RETURNS TABLE ("rowid" BIGINT) LANGUAGE sql STABLE AS $$
    SELECT number FROM video_words
    WHERE lexemes @@ ('''' || replace(replace(q, ' ', ''' & ''') || '''', '*''', ''':*'))::TSQUERY
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION video_search(TEXT);
DROP TABLE video_words;
ALTER TABLE videos DROP COLUMN typed_tags;
ALTER TABLE videos DROP COLUMN description;
