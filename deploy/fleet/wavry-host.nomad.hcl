# Hosts of a pool on all clients of the node pool "desktops": nomad job run wavry-host.nomad.hcl
# The daemon is installed on the machine (docs/operate/install.md), and the driver raw_exec is enabled there.
job "wavry-host" {
  type        = "system"
  datacenters = ["*"]
  node_pool   = "desktops"

  update {
    max_parallel = 1
    stagger      = "30s"
  }

  group "host" {
    network {
      mode = "host"
      port "api" {
        static = 8470
      }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "wavry-host"
      port     = "api"
      provider = "nomad"
    }

    # Before an update: wavry-host fleet drain --select pool=cad --deadline 30m
    task "daemon" {
      driver       = "raw_exec"
      user         = "wavry-host"
      kill_signal  = "SIGTERM"
      kill_timeout = "45s"

      config {
        command = "/usr/bin/wavry-host"
        args    = ["run", "--config", "/etc/wavry-host/config.yaml"]
      }

      env {
        STATE_DIRECTORY          = "/var/lib/wavry-host"
        WAVRY_HOST_HOST__LABELS  = "[pool=cad, region=eu-west]"
        WAVRY_HOST_FLEET__URL    = "tls://nats.example.net:4222"
        WAVRY_HOST_FLEET__EVENTS = "true"
      }

      resources {
        cpu    = 2000
        memory = 2048
      }
    }
  }
}
