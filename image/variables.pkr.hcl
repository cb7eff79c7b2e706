# What differs between targets stands in <target>.pkrvars.hcl; what differs between builds is passed by image/build.sh.

variable "source_image" {
  type        = string
  description = "Disk to start from: the seed disk of image/seed.sh, or a distribution's cloud image (path or URL)."
}

variable "source_checksum" {
  type        = string
  description = "Checksum of source_image, such as sha256:...; none only for a disk that this build made itself."
  validation {
    condition     = var.source_checksum == "none" || (substr(var.source_checksum, 0, 7) == "sha256:" && length(var.source_checksum) == 71)
    error_message = "The checksum must be sha256:<64 hexadecimal digits>, or none."
  }
}

variable "use_backing_file" {
  type        = bool
  description = "Write only the differences from source_image; it must be a raw disk then."
}

variable "disk_size" {
  type        = string
  description = "Size that the machine's disk is given; with a backing file, that of source_image."
}

variable "ssh_key" {
  type        = string
  description = "Private key that opens root's account while the machine is provisioned."
}

variable "seed_directory" {
  type        = string
  description = "Directory served to the machine over HTTP: NoCloud user-data and meta-data."
}

variable "smbios" {
  type        = string
  description = "SMBIOS arguments; they tell cloud-init where its seed is."
}

variable "bootstrap" {
  type        = list(string)
  description = "Commands that bring the source image to where the roles begin."
}

variable "wheelhouse" {
  type        = string
  description = "Absolute path of the directory that scripts/wheelhouse.sh filled."
}

variable "output_directory" {
  type        = string
  description = "Directory for the provisioned disk and the console log; must not exist."
}

variable "strategy_plugins" {
  type        = string
  description = "Directory of Mitogen's strategies for Ansible."
}

variable "accelerator" {
  type        = string
  description = "kvm or tcg, as image/accel.sh says."
  validation {
    condition     = contains(["kvm", "tcg"], var.accelerator)
    error_message = "The accelerator must be kvm or tcg."
  }
}

variable "cpus" {
  type    = number
  default = 2
}

variable "memory_mib" {
  type    = number
  default = 2048
}

variable "firmware" {
  type        = string
  default     = "/usr/share/ovmf/OVMF.fd"
  description = "UEFI firmware; the machine is provisioned through the boot chain that it ships with."
}
