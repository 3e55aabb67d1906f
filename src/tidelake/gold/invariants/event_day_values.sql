-- values of a dimension add up
-- table: gold.event_day
SELECT parts.day, parts.source || ', ' || parts.dimension AS what, parts.found, whole.row_count AS expected
FROM (
    SELECT source, activity_date AS day, dimension, sum(row_count) AS found
    FROM gold.event_day WHERE {activity_date} GROUP BY source, activity_date, dimension
) AS parts
JOIN gold.event_day AS whole
ON whole.dimension = '(all)' AND whole.activity_date = parts.day AND whole.source = parts.source
WHERE parts.found <> whole.row_count
