SELECT user_id, signup_date, subscription_tier, age_group, gender FROM silver.users
