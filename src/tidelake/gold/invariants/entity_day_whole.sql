-- an entity has one row on each day from its first appearance on
-- table: gold.entity_day
SELECT min(entity_days.activity_date) AS day, entity_days.source || ', ' || entity_days.entity AS what,
       count(*) AS found, max(days.later) AS expected
FROM gold.entity_day AS entity_days
JOIN (
    SELECT source, activity_date, row_number() OVER (PARTITION BY source ORDER BY activity_date DESC) AS later
    FROM (SELECT DISTINCT source, activity_date FROM gold.entity_day WHERE {entity_date}) AS seen
) AS days ON days.source = entity_days.source AND days.activity_date = entity_days.activity_date
WHERE {entity_days_date}
GROUP BY entity_days.source, entity_days.entity HAVING count(*) <> max(days.later)
