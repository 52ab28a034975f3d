-- owner: postprocess
-- +goose Up
ALTER TABLE postprocess_jobs ADD COLUMN attempt BIGINT NOT NULL DEFAULT 1;
ALTER TABLE postprocess_jobs ADD COLUMN codecs TEXT NOT NULL DEFAULT '';
ALTER TABLE postprocess_jobs ADD COLUMN media_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE postprocess_jobs ADD COLUMN width BIGINT NOT NULL DEFAULT 0;
ALTER TABLE postprocess_jobs ADD COLUMN height BIGINT NOT NULL DEFAULT 0;
ALTER TABLE postprocess_jobs ADD COLUMN frames BIGINT NOT NULL DEFAULT 0;
ALTER TABLE postprocess_jobs ADD COLUMN size BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE postprocess_jobs DROP COLUMN size;
ALTER TABLE postprocess_jobs DROP COLUMN frames;
ALTER TABLE postprocess_jobs DROP COLUMN height;
ALTER TABLE postprocess_jobs DROP COLUMN width;
ALTER TABLE postprocess_jobs DROP COLUMN media_ms;
ALTER TABLE postprocess_jobs DROP COLUMN codecs;
ALTER TABLE postprocess_jobs DROP COLUMN attempt;
