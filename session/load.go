package session

// Load is how busy the machine is. Figures that are not known are 0.
type Load struct {
	Cores       float64 `json:"cores" doc:"Number of processor cores that the daemon may use."`
	CoresUsed   float64 `json:"cores_used" doc:"Number of cores in use over the last seconds, by all programs."`
	CoresNow    float64 `json:"cores_now" doc:"Number of cores in use over the last half second, by all programs."`
	MemoryFree  int64   `json:"memory_free_bytes" doc:"Available memory, in bytes."`
	MemoryTotal int64   `json:"memory_total_bytes" doc:"Total memory, in bytes."`
	CPUStall    float64 `json:"cpu_stalled" doc:"Share of the last ten seconds in which a task waited for a processor, as a fraction of 1."`
	MemoryStall float64 `json:"memory_stalled" doc:"Share of the last ten seconds in which a task waited for memory, as a fraction of 1."`
	GPUs        []GPU   `json:"gpus,omitempty" doc:"The graphics cards whose drivers report their load."`
}

// GPU is how busy a graphics card is. Figures that its driver does not tell are 0.
type GPU struct {
	ID       string  `json:"id" doc:"Name of the card on this host, such as nvidia0 or card0."`
	Name     string  `json:"name" doc:"Name for people."`
	API      string  `json:"api" doc:"Encoding interface, as in names of encoders: nvenc or vaapi; empty if another card is used."`
	Device   string  `json:"device,omitempty" doc:"Its render node, such as /dev/dri/renderD128; absent if unknown."`
	Busy     float64 `json:"busy" doc:"Share of the last second in which the card worked, as a fraction of 1."`
	Encoder  float64 `json:"encoder_busy" doc:"Share of the last second in which the card's encoder worked, as a fraction of 1."`
	Used     int64   `json:"memory_used_bytes" doc:"Used memory of the card, in bytes."`
	Total    int64   `json:"memory_total_bytes" doc:"Memory of the card, in bytes."`
	Sessions int     `json:"encoder_sessions" doc:"Number of encodings that run on it, of all programs."`
}
