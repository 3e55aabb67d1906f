-- Revenue by category: what was paid, and beside it the document's number, the same purchases at today's list price.
SELECT
    p.category,
    count(*) AS purchases,
    sum(coalesce(e.amount, p.price)) AS revenue,
    sum(p.price) AS revenue_at_list_price
FROM events AS e
JOIN products AS p ON p.product_id = e.product_id
WHERE e.event_type = 'purchased'
GROUP BY p.category
ORDER BY revenue DESC
