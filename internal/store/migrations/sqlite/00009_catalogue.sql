-- owner: video
-- The twin of ../postgres/00009_catalogue.sql, which says what both offer.
-- +goose Up
ALTER TABLE videos ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE videos ADD COLUMN typed_tags TEXT NOT NULL DEFAULT '[]';

CREATE TABLE video_words (
    number INTEGER PRIMARY KEY,
    video_id TEXT NOT NULL UNIQUE,
    words TEXT NOT NULL
);

-- The words come split and folded; 'ascii' with _ splits at spaces and takes
-- every other character as it is. FTS5 tables can be called: video_search(q). What begins
-- with up to 8 characters is indexed: longer beginnings are put together from
-- their words, at a cost that grows with the videos that have them.
CREATE VIRTUAL TABLE video_search USING fts5 (
    words, content = 'video_words', content_rowid = 'number',
    tokenize = "ascii tokenchars '_'", prefix = '1 2 3 4 5 6 7 8', detail = 'none', columnsize = 0
);

-- +goose StatementBegin
CREATE TRIGGER video_words_added AFTER INSERT ON video_words BEGIN
    INSERT INTO video_search (rowid, words) VALUES (new.number, new.words);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER video_words_changed AFTER UPDATE ON video_words BEGIN
    INSERT INTO video_search (video_search, rowid, words) VALUES ('delete', old.number, old.words);
    INSERT INTO video_search (rowid, words) VALUES (new.number, new.words);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER video_words_removed AFTER DELETE ON video_words BEGIN
    INSERT INTO video_search (video_search, rowid, words) VALUES ('delete', old.number, old.words);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE video_search;
DROP TABLE video_words;
ALTER TABLE videos DROP COLUMN typed_tags;
ALTER TABLE videos DROP COLUMN description;
