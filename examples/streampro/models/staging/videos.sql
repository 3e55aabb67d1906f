SELECT video_id, title, genre, duration_seconds, patent_id FROM silver.videos
