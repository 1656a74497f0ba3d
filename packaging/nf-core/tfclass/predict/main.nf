process TFCLASS_PREDICT {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ workflow.containerEngine == 'singularity' && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/tfclass:0.1.0--pyhdfd78af_0' :
        'quay.io/biocontainers/tfclass:0.1.0--pyhdfd78af_0' }"

    input:
    tuple val(meta), path(fasta)

    output:
    tuple val(meta), path("*.tsv"), emit: tsv
    tuple val("${task.process}"), val('tfclass'), eval("tfclass --version | sed '1!d;s/.* //'"), topic: versions, emit: versions_tfclass

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    tfclass predict \\
        $args \\
        --threads $task.cpus \\
        --quiet \\
        --output ${prefix}.tsv \\
        $fasta
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.tsv
    """
}
