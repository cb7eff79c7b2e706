# Starts from the disk that image/seed.sh makes: every package is in it, only the differences are written.
use_backing_file = true
source_checksum  = "none"
disk_size        = "8834M"
smbios           = "type=1,product=bpci-image-build"
bootstrap        = ["true"]
