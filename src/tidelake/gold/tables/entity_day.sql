-- One row per (source, entity, day) from the entity's first appearance on: its measures, 0 where it is absent from
-- a received day, null where the day is missing or the entity closed.
SELECT spans.source, spans.entity, days.activity_date,
       CASE WHEN counted.entity IS NOT NULL THEN 'observed'
            WHEN days.coverage = 'missing' THEN 'missing'
            WHEN spans.last_date <= days.closed_until AND days.activity_date > spans.last_date THEN 'closed'
            ELSE 'zero' END AS status,
       days.coverage = 'missing' AND counted.entity IS NULL AS is_missing,
       days.coverage{measures}
FROM temp.entity_spans AS spans
JOIN temp.entity_days AS days
  ON days.source = spans.source AND days.activity_date >= spans.first_date
LEFT JOIN ({counted}) AS counted
  ON counted.source = spans.source AND counted.entity = spans.entity AND counted.event_date = days.activity_date
