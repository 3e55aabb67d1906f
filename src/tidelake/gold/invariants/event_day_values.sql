-- values of a dimension add up
-- table: gold.event_day
-- A dimension of which a date has no rows at all adds up to none.
SELECT whole.day, whole.source || ', ' || named.dimension AS what, coalesce(parts.found, 0) AS found, whole.expected
FROM (
    SELECT source, activity_date AS day, row_count AS expected
    FROM gold.event_day WHERE dimension = '(all)' AND {activity_date}
) AS whole
CROSS JOIN ({dimensions}) AS named
LEFT JOIN (
    SELECT source, activity_date AS day, dimension, sum(row_count) AS found
    FROM gold.event_day WHERE {activity_date} GROUP BY source, activity_date, dimension
) AS parts ON parts.source = whole.source AND parts.day = whole.day AND parts.dimension = named.dimension
WHERE coalesce(parts.found, 0) <> whole.expected
