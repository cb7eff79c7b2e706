# Provisions the machine whose root file system image/finish.sh takes out and ships. Run by image/build.sh.
# Works with Packer 1.6.6 (Debian 12) and with current Packer (packer init image/plugins first).

locals {
  here = path.root
}

source "qemu" "machine" {
  vm_name          = "disk.qcow2"
  output_directory = var.output_directory

  disk_image       = true
  iso_url          = var.source_image
  iso_checksum     = var.source_checksum
  format           = "qcow2"
  disk_size        = var.disk_size
  skip_resize_disk = var.use_backing_file
  use_backing_file = var.use_backing_file
  skip_compaction  = true
  qemu_img_args {
    create = var.use_backing_file ? ["-F", "raw"] : []
  }

  accelerator    = var.accelerator
  machine_type   = "q35"
  cpus           = var.cpus
  memory         = var.memory_mib
  disk_interface = "virtio"
  net_device     = "virtio-net"
  headless       = true
  http_directory = var.seed_directory
  qemuargs = [
    ["-bios", var.firmware],
    # Without "fast" string instructions: emulated, they clear memory byte by byte.
    ["-cpu", var.accelerator == "kvm" ? "host" : "max,-erms,-fsrm"],
    ["-device", "virtio-rng-pci"],
    ["-serial", "file:${var.output_directory}.console.log"],
    ["-smbios", var.smbios],
  ]

  boot_wait              = "1s"
  communicator           = "ssh"
  ssh_username           = "root"
  ssh_private_key_file   = var.ssh_key
  ssh_timeout            = "15m"
  ssh_handshake_attempts = 200
  shutdown_command       = "systemctl poweroff"
  shutdown_timeout       = "5m"
}

build {
  sources = ["source.qemu.machine"]

  # The seed disk has packages and our files already; a cloud image fetches them here.
  provisioner "shell" {
    inline = var.bootstrap
  }

  provisioner "ansible" {
    playbook_file = "${local.here}/../ansible/site.yml"
    user          = "root"
    use_proxy     = false
    ansible_env_vars = [
      "ANSIBLE_CONFIG=${local.here}/../ansible/ansible.cfg",
      "ANSIBLE_HOST_KEY_CHECKING=False",
      "ANSIBLE_FORCE_COLOR=0",
      "ANSIBLE_TIMEOUT=120",
      # One interpreter in the machine runs all tasks, instead of a new one for each; under emulation that halves the time.
      "ANSIBLE_STRATEGY=mitogen_linear",
      "ANSIBLE_STRATEGY_PLUGINS=${var.strategy_plugins}",
    ]
    extra_arguments = [
      "--private-key", var.ssh_key,
      "--extra-vars", "base_appliance=true",
      "--extra-vars", "node_wheelhouse=${var.wheelhouse}",
    ]
  }
}
