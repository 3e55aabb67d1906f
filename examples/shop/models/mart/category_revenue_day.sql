-- Revenue by day and category: what was paid, and beside it the same purchases at today's list price.
-- Where the log does not say what was paid, the list price stands in, and `at_list_price` counts those purchases.
SELECT
    e.event_date AS purchase_date,
    p.category AS category,
    count(*) AS purchases,
    sum(CASE WHEN e.amount IS NULL THEN 1 ELSE 0 END) AS at_list_price,
    sum(CAST(round(coalesce(e.amount, p.price) * 100) AS BIGINT)) AS revenue_cents,
    sum(CAST(round(p.price * 100) AS BIGINT)) AS list_revenue_cents
FROM silver.events AS e
JOIN silver.products AS p ON p.product_id = e.product_id
WHERE e.event_name = 'purchased'
GROUP BY e.event_date, p.category
