"""Is a release worse than its control: compared where both run, what each served and was fed; and where to try one."""
