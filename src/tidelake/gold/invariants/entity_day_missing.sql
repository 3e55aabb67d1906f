-- a day is missing where it says so, and only there
-- table: gold.entity_day
SELECT activity_date AS day, source || ', ' || entity || ' is ' || status AS what,
       CASE WHEN is_missing THEN 1 ELSE 0 END AS found, CASE WHEN status = 'missing' THEN 1 ELSE 0 END AS expected
FROM gold.entity_day WHERE {entity_date} AND is_missing <> (status = 'missing')
