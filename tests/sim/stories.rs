mod cold_start;
